import asyncio
import json
import math
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from model_export.export import export
from model_export.served import Served
from service.bundle import Bundle
from service.inference.engine import OnnxEngine
from service.language_model import LanguageModel
from service.settings import Settings
from tests.support.api_client import ApiClient, ok_json
from tests.support.http_server import serve


@pytest.fixture(scope="module")
def test_text(trained: Path) -> str:
    return (trained.parent / "data" / "test.txt").read_text(encoding="utf-8")


def test_served_figures_equal_the_trainers(trained: Path, tmp_path: Path, test_text: str) -> None:
    export(trained, tmp_path / "bundle", "float32", test=test_text)
    found = Served(Bundle.load(tmp_path / "bundle")).figures(test_text)
    report = json.loads((trained / "report.json").read_text(encoding="utf-8"))
    assert found.tokens == report["splits"]["test"]["tokens"]
    assert found.carried == pytest.approx(report["perplexity"]["test"], rel=1e-4)
    assert found.by_sentence == pytest.approx(report["perplexity_by_sentence"]["test"], rel=1e-4)
    assert found.bits_per_byte == pytest.approx(report["bits_per_byte"]["test"], rel=1e-4)
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    assert f"As served, in float32, over {found.tokens:,} tokens" in card
    assert f"{found.carried:.2f} carried, {found.by_sentence:.2f} by sentence" in card


def test_an_example_is_what_score_says(trained: Path, tmp_path: Path) -> None:
    text = "the cat <unk> | sat"
    export(trained, tmp_path / "bundle", "int8", examples=[text])
    bundle = Bundle.load(tmp_path / "bundle")
    example = Served(bundle).example(text)
    model = LanguageModel(bundle, Settings(bundle=tmp_path / "bundle", threads=1))

    async def score() -> Any:
        return await model.score(await model.encoder.encode_texts([text]))

    (scored,) = asyncio.run(score())
    model.close()
    assert example.perplexity == pytest.approx(scored.totals.figures("nats")["perplexity"])
    bits = [bits for _, bits in example.surprises]
    assert bits == sorted(bits, reverse=True)
    assert len(bits) == 3
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    assert f"| the cat &lt;unk> \\| sat | {example.perplexity:,.1f} |" in card


def test_top_lists_a_small_vocabulary_completely(trained: Path, tmp_path: Path) -> None:
    export(trained, tmp_path / "bundle", "int8")
    bundle = Bundle.load(tmp_path / "bundle")
    size = bundle.manifest.vocabulary_size
    assert size < 100
    model = LanguageModel(bundle, Settings(bundle=tmp_path / "bundle", threads=1))
    prompt = {"model": "tiedlm", "prompt": "the cat", "echo": True, "seed": 1}
    asked = {**prompt, "logprobs": 100, "max_tokens": 2, "prompt_logprobs": 20}
    with (
        serve(model, lifespan="on") as (host, port),
        httpx.Client(base_url=f"http://{host}:{port}", timeout=60, trust_env=False) as http,
    ):
        api = ApiClient(http)
        tokens = api.score_one(text="the cat", top=100)["tokens"]
        (choice,) = ok_json(api.post("/v1/completions", **asked))["choices"]
    assert [len(token["top"]) for token in tokens] == [size] * 3
    assert [len(top) for top in choice["logprobs"]["top_logprobs"]] == [size] * len(
        choice["logprobs"]["tokens"]
    )
    for row in choice["prompt_logprobs"]:
        assert min(20, size) <= len(row) <= min(21, size)


def test_without_texts_the_card_tells_of_none(trained: Path, tmp_path: Path) -> None:
    export(trained, tmp_path / "bundle", "float32")
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "## Examples" not in card
    assert "As served" not in card


def test_a_long_text_is_read_in_pieces(trained: Path, tmp_path: Path, test_text: str) -> None:
    """Lines of one to several chunks, against one call of the engine per line."""
    export(trained, tmp_path / "bundle", "float32")
    bundle = Bundle.load(tmp_path / "bundle")
    words = test_text.split()
    lines = [" ".join(words[:count]) for count in (1, 63, 64, 65, 150)]
    served, engine = Served(bundle), OnnxEngine(bundle)
    nats = 0.0
    for line in lines:
        ids = served._line(line)
        inputs = np.append(bundle.manifest.prefix_token_id, ids[:-1])[None]
        lengths = np.array([len(ids)], np.int32)
        hidden, _ = engine.encode(inputs, lengths, engine.zero_state()[None])
        nats -= float(engine.log_distribution(hidden)[np.arange(len(ids)), ids].sum())
    found = served.figures("\n".join(lines))
    assert found.by_sentence == pytest.approx(math.exp(nats / found.tokens), rel=1e-5)
