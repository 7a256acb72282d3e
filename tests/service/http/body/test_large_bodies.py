"""Bodies of many small values are counted, and parsed in parts off the event loop."""

import json
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from service.http.body import request_json
from service.http.body.request_json import PART_BYTES
from service.http.native.rescore_schemas import RescoreRequest
from tests.support.api_client import ApiClient, error_json

BYTES = 8_000_000
COMPLETION = '"model": "tiedlm", '


def filled(head: str, value: str, tail: str) -> bytes:
    """Return a body just below the limit, filled with the smallest values."""
    return f"{head}{','.join([value] * (BYTES // (len(value) + 1)))}{tail}".encode()


@dataclass
class Parsed:
    """Records calls of Python's parser: the longest text and the threads."""

    longest: int = 0
    threads: set[str] = field(default_factory=set)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Parsed:
    recording = Parsed()

    def note(text: bytes) -> Any:
        recording.longest = max(recording.longest, len(text))
        recording.threads.add(threading.current_thread().name)
        return json.loads(text)

    seen = SimpleNamespace(loads=note, JSONDecodeError=json.JSONDecodeError)
    monkeypatch.setattr(request_json, "json", seen)
    return recording


FLOODS = {
    "hypotheses": ("/rescore", filled('{"hypotheses": [', '{"text":""}', "]}"), "hypotheses"),
    "texts": ("/score", filled('{"texts": [', '""', "]}"), "texts"),
    "token ids": ("/score", filled('{"token_ids": [[', "0", "]]}"), "token_ids"),
    "lists of ids": ("/score", filled('{"token_ids": [', "[]", "]}"), "token_ids"),
    "contexts": ("/score", filled('{"text": "a", "contexts": [', '""', "]}"), "contexts"),
    "targets": ("/score", filled('{"text": "a", "targets": [', "[]", "]}"), "targets"),
    "positions": ("/score", filled('{"text": "a", "targets": [[', "{}", "]]}"), "targets"),
    "words": ("/score", filled('{"text": "a", "targets": [[{', '"":0', "}]]}"), "targets"),
    "candidates": ("/next-token", filled('{"candidates": [', '""', "]}"), "candidates"),
    "context ids": ("/next-token", filled('{"token_ids": [', "0", "]}"), "token_ids"),
    "fields": ("/score", filled("{", '"":0', "}"), None),
    "prompts": ("/v1/completions", filled(f'{{{COMPLETION}"prompt": [', '""', "]}"), "prompt"),
    "prompt ids": ("/v1/completions", filled(f'{{{COMPLETION}"prompt": [', "0", "]}"), "prompt"),
    "stops": (
        "/v1/completions",
        filled(f'{{{COMPLETION}"prompt": "", "stop": [', '""', "]}"),
        "stop",
    ),
    "an extra": (
        "/v1/completions",
        filled(f'{{{COMPLETION}"prompt": "", "other": [', "[]", "]}"),
        "other",
    ),
    "tokens": ("/detokenize", filled('{"tokens": [', "0", "]}"), "tokens"),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_too_many_values_are_rejected_unparsed(api: ApiClient, parsed: Parsed, kind: str) -> None:
    route, body, param = FLOODS[kind]
    refusal = error_json(api.send(route, body), 422, "input_too_long")
    assert "at most" in refusal["message"]
    assert param is None or refusal["param"] == param
    assert parsed.longest < 100  # the field's name


def test_lists_are_counted_before_models_are_built(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of the 80,000 hypotheses is validated."""
    validated: list[object] = []
    monkeypatch.setattr(RescoreRequest, "model_validate", validated.append)
    body = json.dumps({"hypotheses": [{"text": "", "id": None}] * 80_000}).encode()
    refusal = error_json(api.send("/rescore", body), 422, "input_too_long")
    assert refusal["param"] == "hypotheses"
    assert "80000" in refusal["message"]
    assert validated == []


def test_many_values_are_parsed_off_the_loop(api: ApiClient, parsed: Parsed) -> None:
    ids = [2] * 190_000
    sent = json.dumps({"tokens": ids}, indent=1).encode()
    assert len(sent) > 10 * PART_BYTES
    assert api.send("/detokenize", sent).status_code == 200
    assert parsed.longest <= PART_BYTES + 2
    assert all("background" in name for name in parsed.threads)


def test_dense_targets_over_the_vocabulary_are_scored(api: ApiClient) -> None:
    """For a small vocabulary they are about as many values as a body may hold."""
    vocabulary = api.next_token(top_k=14_000)["tokens"]
    row = {token["text"]: 0.0 for token in vocabulary} | {vocabulary[0]["text"]: 1.0}
    ids = [2] * 20
    result = api.score_one(token_ids=[ids], eos=False, targets=[[row] * 20])
    assert len(json.dumps(row)) * 20 > 10 * PART_BYTES
    top = api.score_one(token_ids=[ids], eos=False, top=100)
    for scored, token in zip(result["tokens"], top["tokens"], strict=True):
        found = {one["text"]: one["logprob"] for one in token["top"]}
        if vocabulary[0]["text"] in found:
            expected = -found[vocabulary[0]["text"]]
            assert scored["soft_cross_entropy"] == pytest.approx(expected, abs=1e-5)


def test_an_error_in_a_large_body_is_named(api: ApiClient) -> None:
    hypotheses: list[object] = [{"text": "a" * 60, "score": 0, "id": "a"}] * 4000
    hypotheses[3999] = {"text": 1}
    refusal = error_json(api.post("/rescore", hypotheses=hypotheses), 422, "invalid_request")
    assert refusal["param"] == "hypotheses.3999.text"
    body = json.dumps({"tokens": [0] * 150_000}).encode()[:-2] + b"x]}"
    refusal = error_json(api.send("/detokenize", body), 400, "invalid_json")
    assert str(len(body) - 3) in refusal["message"]
