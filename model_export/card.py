"""The model card: what a person should know before using a bundle, as its README.md."""

from collections.abc import Sequence

from model_export.served import Example, Figures
from service.bundle import Manifest
from train.config import Config


def model_card(
    config: Config,
    manifest: Manifest,
    test: Figures | None = None,
    examples: Sequence[Example] = (),
) -> str:
    training, model = manifest.training, config.model
    trained = (
        f"{training['finished']}, {training['epochs']} epochs, {training['minutes']} minutes"
        if training
        else "the run was not finished"
    )
    return f"""# {manifest.name}

{config.description or "A weight-tied LSTM language model."}

| | |
|---|---|
| LSTM layers | {model.layers}, {model.hidden_size} wide, the last {model.embedding_size} |
| embedding | {model.embedding_size} wide; the same matrix is the softmax layer |
| parameters | {manifest.parameters:,} |
| vocabulary | {manifest.vocabulary_size:,} entries, tokenizer `{config.tokenizer.kind}` |
| precision | {manifest.precision} |
| trained | {trained} |
| licence of the training text | {config.data_license} |

## Perplexity

{_perplexities(training)}

*Carried* reads a split as one text and keeps the state from its first token to its last; *by
sentence* starts every line from a zero state, as single texts are served. Perplexities over
different vocabularies do not compare; bits per byte do, where no word is unknown.

{_as_served(manifest, test)}{_fidelity(manifest)}{_examples(examples)}
## Limits

{config.limitations or "Untested beyond its own kind of text."}

{_outside(manifest)} The model repeats what its training
text says, errors and prejudice included; it knows no facts and must not be asked for any.

## Making it again

```sh
python -m train config.json --data <folder of the training text> --out <checkpoint>
python -m model_export <checkpoint> <bundle> --precision {manifest.precision}
```

with this as `config.json`:

```json
{config.model_dump_json(indent=2, exclude={"description", "limitations"})}
```

{largest_differences(manifest)}.
"""


def largest_differences(manifest: Manifest) -> str:
    """Return how exact the export is, in words."""
    worst = manifest.parity["max_abs_logprob_difference"]
    mean = manifest.parity["mean_abs_logprob_difference"]
    said = (
        f"The float32 graphs differ from the checkpoint by at most {worst:.1e} nats a token, "
        f"in the mean by {mean:.1e}"
    )
    if manifest.fidelity is None:
        return said
    return f"{said}, int8 from them by {manifest.fidelity['max_abs_logprob_difference']:.2g}"


def _outside(manifest: Manifest) -> str:
    if manifest.unknown_token_id is None:
        return "Every text is made of the vocabulary's pieces: there is no unknown word."
    what = "Characters" if manifest.subword else "Words"
    return f"{what} outside the vocabulary are read and scored as `<unk>`."


def _as_served(manifest: Manifest, test: Figures | None) -> str:
    if test is None:
        return ""
    return f"""As served, in {manifest.precision}, over {test.tokens:,} tokens of a test text:
{test.carried:.2f} carried, {test.by_sentence:.2f} by sentence,
{test.bits_per_byte:.4f} bits per byte.
"""


def _examples(examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    rows = ["", "## Examples", "", "| text | perplexity | its greatest surprises, bits |"]
    rows.append("|---|---|---|")
    for example in examples:
        surprises = ", ".join(f"{_cell(text)} {bits:.1f}" for text, bits in example.surprises)
        rows.append(f"| {_cell(example.text)} | {example.perplexity:,.1f} | {surprises} |")
    return "\n".join([*rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _fidelity(manifest: Manifest) -> str:
    """What int8 costs; nothing for float32."""
    figures = manifest.fidelity
    if figures is None:
        return ""
    rise = figures["perplexity_int8"] / figures["perplexity_float32"] - 1
    return f"""
## int8 against float32

Over {figures["tokens"]:,.0f} tokens of the validation text:

| | |
|---|---|
| perplexity, float32 | {figures["perplexity_float32"]:.3f} |
| perplexity, int8 | {figures["perplexity_int8"]:.3f} ({rise:+.3%}) |
| mean difference of a log-probability, nats | {figures["mean_abs_logprob_difference"]:.4f} |
| largest difference of a log-probability, nats | {figures["max_abs_logprob_difference"]:.4f} |
| mean KL divergence from float32, nats | {figures["mean_kl_divergence"]:.6f} |
| the same most probable word | {figures["top_1_agreement"]:.2%} |

The scores are the same bit for bit alone, in any batch and in pieces.
"""


def _perplexities(training: dict[str, object]) -> str:
    carried, single = training.get("perplexity"), training.get("perplexity_by_sentence")
    bits = training.get("bits_per_byte")
    if not (isinstance(carried, dict) and isinstance(single, dict) and isinstance(bits, dict)):
        return "The training run was not finished, so nothing was measured."
    rows = ["| split | carried | by sentence | bits per byte, carried |", "|---|---|---|---|"]
    for split in ("valid", "test"):
        rows.append(f"| {split} | {carried[split]:.2f} | {single[split]:.2f} | {bits[split]:.4f} |")
    return "\n".join(rows)
