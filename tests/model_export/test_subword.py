"""Tests of text without spaces from training to HTTP, with all kinds of subword tokenizers."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as LibraryTokenizer

from model_export.export import export
from service.bundle import Bundle
from service.language_model import LanguageModel
from service.settings import Settings
from tests.support.api_client import ApiClient, Json, strict_json
from tests.support.chinese_text import LINES, write_chinese_corpus
from tests.support.http_server import serve
from tests.support.tiny_training import CONFIG, write_config
from tests.support.train_command import Train

KINDS = ["char", "bpe", "unigram"]
NO_UNKNOWN = ["bpe", "unigram"]
# Text like the training text and unlike it. A literal `<eos>` in a text is scored as a line end.
TEXTS = [
    "河水还是那样清，那样慢。",
    "老王 在桥上  等船。\n弟弟问：“我们的河也流到大海里去吗？” ",
    "She said 'no', 河 – 3,000 <unk> <eos>times.\t\n\n \u3000桥",
    "👩‍👩‍👧 שלום עולם e\u0301\u0300 ที่\u200b",
    "",
    "  ",
]
UNITS = {"nats": 1.0, "bits": 1 / math.log(2)}


@dataclass(frozen=True)
class Trained:
    """A tiny model with one kind of tokenizer: its checkpoint, its service and a client."""

    kind: str
    checkpoint: Path
    model: LanguageModel
    api: ApiClient

    @property
    def end_id(self) -> int:
        return self.model.tokenizer.end_id


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chinese_corpus(tmp_path_factory.mktemp("chinese") / "data")


@pytest.fixture(scope="session", params=KINDS)
def trained(
    request: pytest.FixtureRequest, corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp(request.param)
    content = CONFIG.replace('"whitespace"', f'"{request.param}"').replace(
        "epochs = 2", "epochs = 4"
    )
    config, checkpoint, bundle = folder / "toy.toml", folder / "out", folder / "bundle"
    assert Train(write_config(config, content), corpus, checkpoint)() == 0
    export(checkpoint, bundle, "float32")
    model = LanguageModel(Bundle.load(bundle), Settings(bundle=bundle, threads=1))
    with (
        serve(model, lifespan="on") as (host, port),
        httpx.Client(base_url=f"http://{host}:{port}", timeout=60, trust_env=False) as http,
    ):
        yield Trained(request.param, checkpoint, model, ApiClient(http))


def test_the_bundle_says_what_its_tokens_are(trained: Trained) -> None:
    manifest = trained.model.bundle.manifest
    assert manifest.subword
    assert manifest.unknown_token_id == (None if trained.kind in NO_UNKNOWN else 0)
    info = trained.api.http.get("/tokenizer_info").json()
    assert info["unk_token"] == (None if trained.kind in NO_UNKNOWN else "<unk>")
    card = (trained.model.settings.bundle / "README.md").read_text(encoding="utf-8")
    assert ("there is no unknown word" in card) == (trained.kind in NO_UNKNOWN)
    report = json.loads((trained.checkpoint / "report.json").read_text(encoding="utf-8"))
    assert report["perplexity"]["valid"] < manifest.vocabulary_size


def test_service_tokenizes_as_the_trainer_does(trained: Trained, corpus: Path) -> None:
    valid = (corpus / "valid.txt").read_text(encoding="utf-8")
    trained_on = np.load(trained.checkpoint / "validation_ids.npy").tolist()
    assert trained.model.tokenizer.encode(valid).ids.tolist() == trained_on


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=40) | st.text(st.sampled_from("".join(LINES[:8])), max_size=40))
def test_both_sides_cut_any_text_alike(trained: Trained, text: str) -> None:
    library = LibraryTokenizer.from_file(str(trained.checkpoint / "tokenizer.json"))
    ids: list[int] = []
    lines = text.replace("\r\n", "\n")
    for line in lines.split("\n"):
        ids += [*library.encode(line).ids, trained.end_id]
    encoding = trained.model.tokenizer.encode(text)
    assert [*encoding.ids.tolist(), trained.end_id] == ids
    if trained.kind in NO_UNKNOWN:
        assert trained.model.tokenizer.decode(encoding.ids) == lines.replace("<eos>", "\n")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("unit", UNITS)
def test_words_and_ends_sum_to_the_total(trained: Trained, text: str, unit: str) -> None:
    result = trained.api.score_one(text=text, unit=unit)
    words, tokens = result["words"], result["tokens"]
    assert [word["text"] for word in words] == text.split()
    assert [text[word["start"] : word["end"]] for word in words] == text.split()
    assert len(words) == result["word_count"]
    for word in words:
        if word["token_count"]:
            assert word["cross_entropy"] == pytest.approx(-word["logprob"] * UNITS[unit])
        else:
            assert (word["logprob"], word["cross_entropy"]) == (None, None)
    if words:
        ends = [token for token in tokens if token["id"] == trained.end_id]
        parts = [word["cross_entropy"] or 0.0 for word in words]
        total = sum(parts) + sum(token["cross_entropy"] for token in ends)
        assert total == pytest.approx(result["total_cross_entropy"])
        counted = sum(word["token_count"] for word in words) + len(ends)
        assert counted == result["token_count"] == len(tokens)


def test_words_are_there_with_tokens_and_offsets_alone(trained: Trained) -> None:
    assert "words" not in trained.api.score_one(text="河水", tokens=False)
    assert "words" not in trained.api.score_one(token_ids=[[5, 6]])
    first, second = trained.api.score(texts=["河 水", "桥"])["results"]
    assert ([len(first["words"]), len(second["words"])]) == [2, 1]


def test_unscored_first_token_is_outside_its_word(trained: Trained) -> None:
    result = trained.api.score_one(text="河水 桥", bos=False)
    assert result["tokens"][0]["logprob"] is None
    counts = [word["token_count"] for word in result["words"]]
    assert sum(counts) + 1 == result["token_count"]
    assert counts[0] == result["token_count"] - 1 - counts[1]


@pytest.mark.parametrize("text", TEXTS)
def test_offsets_cut_the_text(trained: Trained, text: str) -> None:
    at = 0
    for token in trained.api.score_one(text=text)["tokens"]:
        assert token["start"] <= at
        assert at <= token["end"] <= len(text)
        assert token["oov"] == (token["id"] == 0 and trained.kind not in NO_UNKNOWN)
        at = token["end"]
    assert at == len(text)


@pytest.fixture(scope="session")
def per_character() -> dict[str, Json]:
    """The results of the same texts by kind of tokenizer, to compare them."""
    return {}


def test_figures_per_character_and_byte_compare_across_tokenizers(
    trained: Trained, per_character: dict[str, Json]
) -> None:
    text = "\n".join(LINES[38:])
    result = per_character[trained.kind] = trained.api.score_one(text=text, tokens=False)
    total = result["total_cross_entropy"]
    assert result["cross_entropy_per_character"] == pytest.approx(total / len(text))
    assert result["cross_entropy_per_byte"] == pytest.approx(total / len(text.encode()))
    for other in per_character.values():
        for name in ("cross_entropy_per_character", "cross_entropy_per_byte"):
            assert 0.4 < result[name] / other[name] < 2.5
        assert result["word_count"] == other["word_count"]
    assert 1 < result["cross_entropy_per_character"] < 2 * math.log(256)


def test_what_is_typed_finds_its_tokens(trained: Trained) -> None:
    typed = trained.api.next_token(context="老王在", prefix="河", top_k=3)
    assert typed["tokens"]
    names = trained.model.tokenizer.vocabulary.names
    assert all(names[token["id"]].startswith("河") for token in typed["tokens"])
    assert 0 < typed["prefix_probability"] < 1
    everything = trained.api.next_token(context="老王在", exclude_special=True, top_k=0)
    assert everything["remaining_probability"] == pytest.approx(1)


def test_candidates_soft_targets_and_hypotheses_take_written_text(trained: Trained) -> None:
    (candidate,) = trained.api.next_token(context="小", candidates=["河"])["candidates"]
    assert (candidate["candidate"], candidate["oov"]) == ("河", False)
    target = [[{"河": 1.0}, {"<eos>": 1.0}]]
    result = trained.api.score_one(text="河", targets=target)
    for token in result["tokens"]:
        assert token["soft_cross_entropy"] == pytest.approx(token["cross_entropy"], abs=1e-5)
    body = {"hypotheses": [{"text": "河水"}, {"text": "𝒳"}]}
    rescored = strict_json(trained.api.post("/rescore", **body).content)["results"]
    counts = {one["text"]: one["oov_count"] for one in rescored}
    assert counts == {"河水": 0, "𝒳": 0 if trained.kind in NO_UNKNOWN else 1}


@pytest.mark.parametrize("text", TEXTS)
def test_ids_and_text_go_to_and_fro(trained: Trained, text: str) -> None:
    def post(route: str, **fields: object) -> Json:
        return dict(strict_json(trained.api.post(route, **fields).content))

    tokens = post("/tokenize", prompt=text)["tokens"]
    assert tokens[0] == trained.end_id != 0
    again = post("/detokenize", tokens=tokens[1:])["prompt"]
    assert post("/tokenize", prompt=again)["tokens"] == tokens


def complete(trained: Trained, **fields: object) -> Json:
    response = trained.api.post("/v1/completions", model="tiedlm", **fields)
    assert response.status_code == 200, response.text
    (choice,) = strict_json(response.content)["choices"]
    return dict(choice)


def test_an_echoed_prompt_names_what_its_tokens_spell(trained: Trained) -> None:
    prompt = "河水x 𝒳"
    choice = complete(trained, prompt=prompt, echo=True, logprobs=2, max_tokens=0)
    names, offsets = choice["logprobs"]["tokens"], choice["logprobs"]["text_offset"]
    assert choice["text"] == prompt
    assert offsets == sorted(offsets)
    for name, offset in zip(names, offsets, strict=True):
        if name != "<unk>" and not name.startswith("bytes:"):
            assert prompt.startswith(name, offset)
    tops = choice["logprobs"]["top_logprobs"]
    assert all(name in top for name, top in zip(names, tops, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_stream_never_splits_a_character(trained: Trained, seed: int) -> None:
    asked = {"prompt": "弟弟", "max_tokens": 40, "temperature": 1.5, "seed": seed, "logprobs": 1}
    whole = complete(trained, **asked)
    offsets = whole["logprobs"]["text_offset"]
    for name, offset in zip(whole["logprobs"]["tokens"], offsets, strict=True):
        assert name.startswith("bytes:") or whole["text"].startswith(name, offset)
    response = trained.api.post("/v1/completions", model="tiedlm", stream=True, **asked)
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    choices = [json.loads(event)["choices"][0] for event in events[:-1]]
    assert "".join(choice["text"] for choice in choices) == whole["text"]
    sent = [choice["logprobs"] for choice in choices if choice["logprobs"]]
    for name in ("tokens", "text_offset"):
        assert [*chain(*(one[name] for one in sent))] == whole["logprobs"][name]


@pytest.mark.parametrize("text", [*TEXTS, "我们可以使用👩‍👩‍👧。\r\n河水\ne\u0301\n"])
def test_surfaces_are_the_text_and_never_bytes(trained: Trained, text: str) -> None:
    tokens = trained.api.score_one(text=text, top=3)["tokens"]
    made = ""
    for token in tokens:
        assert token["surface"] == text[token["start"] : token["end"]]
        made += token["surface"][len(made) - token["start"] :]
        for one in token["top"]:
            entry = trained.model.tokenizer.vocabulary.names[one["id"]]
            assert one["surface"] in ("\n" if one["text"] == "<eos>" else entry, token["surface"])
    assert made == text
    assert tokens[-1]["surface"] == ""


def test_surfaces_of_ids_are_those_of_their_text(trained: Trained) -> None:
    text = "弟弟 在桥上\n河水还是那样清"
    by_text = trained.api.score_one(text=text)["tokens"]
    by_ids = trained.api.score_one(token_ids=[[token["id"] for token in by_text[:-1]]])["tokens"]
    shown = ["<unk>" if token["oov"] else token["surface"] for token in by_text]
    assert [token["surface"] for token in by_ids] == shown


def test_next_tokens_read_as_text(trained: Trained) -> None:
    size = trained.model.tokenizer.vocabulary_size
    listed = trained.api.next_token(context="老王在", prefix="河", top_k=5, candidates=["河"])
    assert all(token["surface"].startswith("河") for token in listed["tokens"])
    assert [one["surface"] for one in listed["candidates"]] == ["河"]
    everything = trained.api.next_token(context="老王在", top_k=size)["tokens"]
    for token in everything:
        decoded = trained.model.tokenizer.decode(np.array([token["id"]], np.int64))
        if "\ufffd" in decoded:
            assert token["surface"].startswith("bytes:\\x")
        else:
            assert token["surface"] == decoded


def test_half_a_character_is_completed_by_what_follows(trained: Trained) -> None:
    ids = trained.model.tokenizer.encode("𝒳").ids.tolist()
    if trained.kind == "char":
        assert ids == [0]
        return
    assert len(ids) > 1
    answer = trained.api.next_token(
        token_ids=ids[:-1], top_k=trained.model.tokenizer.vocabulary_size
    )
    (last,) = [token for token in answer["tokens"] if token["id"] == ids[-1]]
    assert last["surface"] == "𝒳"
