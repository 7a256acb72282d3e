"""Requests with many small values: counts are checked first, long work is off the loop."""

import math
import threading
from typing import Any

import pytest

from service.text.tokenizer import Tokenizer
from tests.support.api_client import ApiClient, Json, error_json

END = {"<eos>": 1.0}


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the threads that look words up and decode ids."""
    found: list[str] = []

    def recording(name: str) -> None:
        method = getattr(Tokenizer, name)

        def call(*arguments: Any) -> Any:
            found.append(threading.current_thread().name)
            return method(*arguments)

        monkeypatch.setattr(Tokenizer, name, call)

    for name in ("word_ids", "decode"):
        recording(name)
    return found


def test_too_long_lists_of_ids_are_not_read(api: ApiClient, threads: list[str]) -> None:
    lists = [[2] * 1000] * 200
    refusal = error_json(api.post("/score", token_ids=[*lists, [-1]]), 422, "input_too_long")
    assert "at most 200000" in refusal["message"]
    assert threads == []


@pytest.mark.parametrize("lists", [[[2] * 16] * 100, [[]] * 2000])
def test_many_lists_of_ids_leave_the_event_loop(
    api: ApiClient, threads: list[str], lists: list[list[int]]
) -> None:
    assert len(api.score(token_ids=lists, tokens=False)["results"]) == len(lists)
    assert len(threads) >= len(lists)
    assert all(name.startswith("background") for name in threads)
    refusal = error_json(api.post("/score", token_ids=[*lists, [2, -1]]), 422, "unknown_token")
    assert refusal["param"] == f"token_ids.{len(lists)}.1"


@pytest.mark.parametrize(
    ("targets", "param"),
    [
        ([], "targets"),
        ([[END] * 3] * 2, "targets"),
        ([[{"Zxqvyk": 1.0}] * 2], "targets.0"),
        ([[{"Zxqvyk": 1.0}] * 100_000], "targets.0"),
    ],
)
def test_targets_are_counted_before_any_lookup(
    api: ApiClient, threads: list[str], targets: list[list[dict[str, float]]], param: str
) -> None:
    refusal = error_json(
        api.post("/score", text="the city", targets=targets), 422, "invalid_request"
    )
    assert refusal["param"] == param
    assert threads == []


@pytest.mark.parametrize(
    ("fields", "positions"),
    [
        ({}, 3),
        ({"eos": False}, 2),
        ({"bos": False}, 2),
        ({"bos": False, "eos": False}, 1),
        ({"bos": False, "context": "of"}, 3),
        ({"bos": False, "context": ""}, 2),
        ({"text": "", "bos": False, "eos": False}, 0),
    ],
)
def test_every_scored_position_has_a_target(api: ApiClient, fields: Json, positions: int) -> None:
    asked = {"text": "the city", **fields}
    for count in range(5):
        response = api.post("/score", **asked, targets=[[END] * count])
        assert response.status_code == (200 if count == positions else 422)
    result = api.score_one(**asked, targets=[[END] * positions])
    found = [token for token in result["tokens"] if token["logprob"] is not None]
    assert len(found) == result["token_count"] == positions
    assert all(token["soft_cross_entropy"] > 0 for token in found)


def test_a_state_adds_a_first_target(api: ApiClient) -> None:
    state = api.score_one(text="the", eos=False, return_state=True)["state"]
    result = api.score_one(text="city", state=state, targets=[[{"city": 1.0}, END]])
    for token in result["tokens"]:
        assert token["soft_cross_entropy"] == pytest.approx(-token["logprob"], abs=1e-6)


def test_many_targets_leave_the_event_loop(api: ApiClient, threads: list[str]) -> None:
    text = " ".join(["the"] * 1000)
    targets = [[{"the": 0.25, "<unk>": 0.75}] * 1000 + [END]]
    tokens = api.score_one(text=text, targets=targets)["tokens"]
    assert len(threads) == 2001
    assert all(name.startswith("background") for name in threads)
    distribution = api.logprobs_after([token["id"] for token in tokens[:7]])
    the, unknown = distribution[tokens[0]["id"]], distribution[0]
    expected = -0.25 * the - 0.75 * unknown
    assert math.isclose(tokens[7]["soft_cross_entropy"], expected, abs_tol=1e-4)
