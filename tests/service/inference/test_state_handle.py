"""State handles continue bit for bit, and cannot be forged."""

import base64
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle import Bundle
from service.errors import InvalidState, StartError
from service.inference.state_handle import StateCodec
from service.language_model import LanguageModel
from service.settings import Settings
from tests.support.api_client import ApiClient, error_json, logprobs

KEY = b"k" * 32
HASH = "ab" * 32
TEXT = "He was born in London, and the song was written in 1990. The band released a new album."


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=6, max_size=6))
def test_a_state_comes_back_bit_for_bit(values: list[float]) -> None:
    state = np.array(values, np.float32)
    codec = StateCodec(KEY, HASH, 6)
    assert codec.open(codec.seal(state)).tobytes() == state.tobytes()


@given(position=st.integers(0, 56), flip=st.integers(1, 255))
def test_no_byte_of_a_handle_can_be_changed(position: int, flip: int) -> None:
    codec = StateCodec(KEY, HASH, 6)
    raw = bytearray(base64.urlsafe_b64decode(codec.seal(np.ones(6, np.float32))))
    assert len(raw) == 57
    raw[position] ^= flip
    with pytest.raises(InvalidState):
        codec.open(base64.urlsafe_b64encode(raw).decode())


@given(st.text(max_size=100))
def test_other_texts_are_not_handles(text: str) -> None:
    with pytest.raises(InvalidState):
        StateCodec(KEY, HASH, 6).open(text)


def test_a_handle_of_another_key_is_refused() -> None:
    handle = StateCodec(KEY, HASH, 6).seal(np.ones(6, np.float32))
    for other in (
        StateCodec(b"x" * 32, HASH, 6),
        StateCodec(KEY, "cd" * 32, 6),
        StateCodec(KEY, HASH, 5),
    ):
        with pytest.raises(InvalidState):
            other.open(handle)
    with pytest.raises(InvalidState):
        StateCodec(KEY, HASH, 6).open(handle[:-4])


def test_replicas_with_one_key_share_handles() -> None:
    one, two = StateCodec(KEY, HASH, 6), StateCodec(KEY, HASH, 6)
    assert two.open(one.seal(np.arange(6, dtype=np.float32))).tolist() == [0, 1, 2, 3, 4, 5]


@given(st.data())
def test_scoring_from_a_handle_equals_the_whole_text(api: ApiClient, data: st.DataObject) -> None:
    words = TEXT.split(" ")
    cuts = sorted(data.draw(st.sets(st.integers(1, len(words) - 1), max_size=4)))
    parts = [" ".join(words[a:b]) for a, b in zip([0, *cuts], [*cuts, len(words)], strict=True)]
    found: list[float | None] = []
    state: dict[str, str] = {}
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        result = api.score_one(text=part, eos=last, return_state=True, **state)
        found += logprobs(result)
        state = {"state": result["state"]}
    assert found == logprobs(api.score_one(text=TEXT))


def test_next_words_after_a_handle_equal_the_whole(api: ApiClient) -> None:
    whole = api.next_token(context="The band released a", top_k=5)
    before = api.next_token(context="The band", top_k=0, return_state=True)["state"]
    assert api.next_token(context="released a", state=before, top_k=5) == whole


def test_a_state_needs_no_context(api: ApiClient) -> None:
    answer = api.next_token(context="The band released a", top_k=5, return_state=True)
    assert api.next_token(state=answer["state"], top_k=5)["tokens"] == answer["tokens"]


def test_a_state_from_scoring_serves_next_words(api: ApiClient) -> None:
    scored = api.score_one(text="The band released a", eos=False, return_state=True)
    assert (
        api.next_token(state=scored["state"], top_k=5)["tokens"]
        == api.next_token(context="The band released a", top_k=5)["tokens"]
    )


def test_a_state_precedes_each_of_several_texts(api: ApiClient) -> None:
    state = api.score_one(text="The band", eos=False, return_state=True)["state"]
    both = api.score(texts=["released a", "was formed"], state=state)["results"]
    assert both[0] == api.score_one(text="released a", state=state)
    whole = api.score_one(text="The band was formed")
    assert logprobs(both[1]) == logprobs(whole)[2:]


def test_an_empty_text_keeps_the_state(api: ApiClient) -> None:
    state = api.score_one(text="The band", eos=False, return_state=True)["state"]
    result = api.score_one(text="", eos=False, state=state, return_state=True)
    assert result["token_count"] == 0
    assert result["state"] == state


@pytest.mark.parametrize("field", [{"bos": True}, {"context": "a"}, {"contexts": ["a"]}])
def test_a_state_excludes_bos_and_contexts(api: ApiClient, field: dict[str, object]) -> None:
    state = api.score_one(text="The band", return_state=True)["state"]
    error_json(api.post("/score", text="a", state=state, **field), 422, "invalid_request")


@pytest.mark.parametrize("route", ["/score", "/next-token"])
def test_a_bad_handle_is_invalid_state(api: ApiClient, route: str) -> None:
    text = {"text": "a"} if route == "/score" else {"context": "a"}
    good = api.score_one(text="The band", return_state=True)["state"]
    for bad in ("", "abc", good[:-8], good[:40] + "AAAA" + good[44:], "é", "A" * 100_000):
        refusal = error_json(api.post(route, state=bad, **text), 422, "invalid_state")
        assert refusal["param"] == "state"


def test_a_short_or_missing_key_stops_the_start(tmp_path: Path, bundle_path: Path) -> None:
    bundle, key = Bundle.load(bundle_path), tmp_path / "key"
    with pytest.raises(StartError, match="key: No such file"):
        LanguageModel(bundle, Settings(state_key_file=key))
    key.write_bytes(b"short\n")
    with pytest.raises(StartError, match="5 bytes"):
        LanguageModel(bundle, Settings(state_key_file=key))
