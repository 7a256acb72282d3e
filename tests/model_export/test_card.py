import json
from pathlib import Path

from model_export.export import export
from service.bundle import Bundle
from tests.support.numpy_lstm import Exported
from train.checkpoint import Checkpoint


def test_finished_card_has_the_scores(trained: Path, tmp_path: Path) -> None:
    export(trained, tmp_path / "bundle", "float32")
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    report = json.loads((trained / "report.json").read_text(encoding="utf-8"))
    for split in ("valid", "test"):
        carried, single = report["perplexity"][split], report["perplexity_by_sentence"][split]
        bits = report["bits_per_byte"][split]
        assert f"| {split} | {carried:.2f} | {single:.2f} | {bits:.4f} |" in card
    assert f"| trained | {report['finished']}, 2 epochs, {report['minutes']} minutes |" in card
    assert "| licence of the training text | public domain |" in card
    assert "| precision | float32 |" in card


def test_unfinished_card_has_no_scores(two_layers: Exported) -> None:
    card = (two_layers.bundle() / "README.md").read_text(encoding="utf-8")
    assert "| trained | the run was not finished |" in card
    assert "nothing was measured" in card


def test_the_card_describes_the_model(two_layers: Exported) -> None:
    card = (two_layers.bundle("int8") / "README.md").read_text(encoding="utf-8")
    # 50 words of 8, their biases; layers of 4 · 12 · (8 + 12) + 96 and 4 · 8 · (12 + 8) + 64.
    assert "| parameters | 2,210 |" in card
    assert "| LSTM layers | 2, 12 wide, the last 8 |" in card
    assert "| vocabulary | 50 entries, tokenizer `whitespace` |" in card
    assert "| precision | int8 |" in card
    assert card.startswith("# toy\n\nA toy of random weights.\n")
    assert "It means nothing." in card


def test_card_has_the_largest_differences(two_layers: Exported) -> None:
    for precision in ("float32", "int8"):
        bundle = two_layers.bundle(precision)
        manifest = Bundle.load(bundle).manifest
        said = (bundle / "README.md").read_text(encoding="utf-8").replace("\n", " ")
        parity = manifest.parity["max_abs_logprob_difference"]
        mean = manifest.parity["mean_abs_logprob_difference"]
        differ = f"at most {parity:.1e} nats a token, in the mean by {mean:.1e}"
        assert f"differ from the checkpoint by {differ}" in said
        assert (", int8 from them by" in said) == (manifest.fidelity is not None)
        if manifest.fidelity is not None:
            assert f"by {manifest.fidelity['max_abs_logprob_difference']:.2g}." in said


def test_the_card_holds_the_configuration(two_layers: Exported) -> None:
    card = (two_layers.bundle() / "README.md").read_text(encoding="utf-8")
    document = json.loads(card.split("```json\n")[1].split("\n```")[0])
    config = json.loads(Checkpoint(two_layers.checkpoint).config().model_dump_json())
    assert document == {k: v for k, v in config.items() if k not in ("description", "limitations")}
