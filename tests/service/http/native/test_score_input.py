"""Input of `POST /score`: texts, ids, contexts, and the special tokens in them."""

import pytest

from tests.support.api_client import ApiClient, logprobs, token_ids

UNKNOWN, END = 0, 1
FIRST, SECOND = "The city of the north,", "on the river."


def test_context_conditions_and_is_not_scored(api: ApiClient) -> None:
    whole = api.score_one(text=f"{FIRST} {SECOND}")
    part = api.score_one(text=SECOND, context=FIRST)
    assert logprobs(part) == pytest.approx(logprobs(whole)[-len(logprobs(part)) :], abs=1e-5)
    assert part["token_count"] == len(part["tokens"]) < whole["token_count"]
    assert part["tokens"][0]["start"] == 0
    assert part["word_count"] == len(SECOND.split())
    assert logprobs(part) != logprobs(api.score_one(text=SECOND))


def test_one_context_precedes_every_text(api: ApiClient) -> None:
    together = api.score(texts=[FIRST, SECOND], context="In 1905")["results"]
    for text, result in zip([FIRST, SECOND], together, strict=True):
        alone = api.score_one(text=text, context="In 1905")
        assert logprobs(result) == pytest.approx(logprobs(alone), abs=1e-5)


def test_each_text_has_its_own_context(api: ApiClient) -> None:
    contexts = ["In 1905", ""]
    together = api.score(texts=[SECOND, SECOND], contexts=contexts)["results"]
    for context, result in zip(contexts, together, strict=True):
        alone = api.score_one(text=SECOND, context=context)
        assert logprobs(result) == pytest.approx(logprobs(alone), abs=1e-5)
    assert logprobs(together[0]) != logprobs(together[1])


def test_empty_context_equals_no_context(api: ApiClient) -> None:
    for bos in (True, False):
        with_empty = api.score_one(text=FIRST, context="", bos=bos)
        assert logprobs(with_empty) == logprobs(api.score_one(text=FIRST, bos=bos))


def test_without_bos_context_precedes_first_token(api: ApiClient) -> None:
    result = api.score_one(text="the", context="of", bos=False, eos=False)
    expected = api.logprobs_after(token_ids(api.score_one(text="of", eos=False)), bos=False)
    assert logprobs(result) == [pytest.approx(expected[token_ids(result)[0]], abs=1e-5)]


def test_token_ids_equal_their_text(api: ApiClient) -> None:
    text = api.score_one(text=FIRST, eos=False)
    by_ids = api.score_one(token_ids=[token_ids(text)], eos=False)
    assert token_ids(by_ids) == token_ids(text)
    assert logprobs(by_ids) == pytest.approx(logprobs(text), abs=1e-5)
    assert by_ids["total_cross_entropy"] == pytest.approx(text["total_cross_entropy"], abs=1e-4)
    assert by_ids["word_count"] == text["word_count"]
    assert [token["start"] for token in by_ids["tokens"]] == [None] * len(token_ids(text))


def test_bos_and_eos_apply_to_token_ids(api: ApiClient) -> None:
    the = token_ids(api.score_one(text="the", eos=False))
    assert token_ids(api.score_one(token_ids=[the])) == [*the, END]
    assert logprobs(api.score_one(token_ids=[the], bos=False, eos=False)) == [None]
    assert token_ids(api.score_one(token_ids=[[]])) == [END]


def test_newline_is_eos(api: ApiClient) -> None:
    lines = api.score_one(text=f"{FIRST}\n{SECOND}")
    newline = token_ids(lines).index(END)
    token = lines["tokens"][newline]
    assert (token["start"], token["end"]) == (len(FIRST), len(FIRST) + 1)
    assert token["text"] == "<eos>"
    assert not token["oov"]
    first = api.score_one(text=FIRST)
    assert token_ids(lines)[: newline + 1] == token_ids(first)
    assert logprobs(lines)[: newline + 1] == pytest.approx(logprobs(first), abs=1e-5)
    after = api.score_one(text=SECOND, context=f"{FIRST}\n")
    assert logprobs(lines)[newline + 1 :] == pytest.approx(logprobs(after), abs=1e-5)


def test_final_newline_and_end_are_two_tokens(api: ApiClient) -> None:
    assert token_ids(api.score_one(text="the\n"))[1:] == [END, END]
    assert token_ids(api.score_one(text="the\n", eos=False))[1:] == [END]


def test_literal_unk_is_unk(api: ApiClient) -> None:
    literal = api.score_one(text="The <unk> of")
    unknown = api.score_one(text="The Zxqvyk of")
    assert token_ids(literal) == token_ids(unknown)
    assert logprobs(literal) == pytest.approx(logprobs(unknown), abs=1e-5)
    token = literal["tokens"][1]
    assert (token["id"], token["text"], token["oov"]) == (UNKNOWN, "<unk>", True)
    assert (token["start"], token["end"]) == (4, 9)
    surface = unknown["tokens"][1]
    assert (surface["text"], surface["start"], surface["end"]) == ("<unk>", 4, 10)
    assert literal["oov_count"] == unknown["oov_count"] == 1


def test_literal_eos_is_eos(api: ApiClient) -> None:
    assert token_ids(api.score_one(text="the<eos>of")) == token_ids(api.score_one(text="the\nof"))
