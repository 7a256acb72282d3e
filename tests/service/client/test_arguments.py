"""Arguments of client methods: accepted types, type errors, and what is sent."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service.client import Hypothesis, TiedlmError
from tests.support.api_client import ApiClient
from tests.support.sync_or_async_client import CannedResponses, SyncOrAsyncClient

SentBody = Callable[..., Any]


@pytest.fixture
def sent_body(rejecting: tuple[SyncOrAsyncClient, CannedResponses]) -> SentBody:
    """A function that calls a method and returns the JSON that was sent."""
    client, handler = rejecting

    def call(method: str, *args: Any, **fields: Any) -> Any:
        with pytest.raises(TiedlmError, match="not so"):
            client(method, *args, **fields)
        return json.loads(handler.requests[-1].content)

    return call


NOT_TEXT_LISTS = ["the river", b"the river", bytearray(b"x"), {"text": "x"}, {"x"}, 5, 1.5]
NOT_ID_LISTS = ["12", b"12", {1: 2}, {1, 2}, 7, np.array(3)]
INVALID_LISTS = [
    *(("score", "texts", given) for given in NOT_TEXT_LISTS),
    *(("score", "contexts", given) for given in NOT_TEXT_LISTS),
    *(("next_token", "candidates", given) for given in NOT_TEXT_LISTS),
    *(("rescore", "hypotheses", given) for given in [*NOT_TEXT_LISTS, None]),
    *(("next_token", "token_ids", given) for given in NOT_ID_LISTS),
    *(("detokenize", "tokens", given) for given in NOT_ID_LISTS),
    *(("score", "token_ids", given) for given in [*NOT_ID_LISTS, [2, 3], ["ab"], [b"ab"], [{}]]),
    *(("score", "targets", given) for given in ["a", {"a": 1.0}, [{"a": 1.0}], [[[]]], ["ab"]]),
]


@pytest.mark.parametrize(("method", "name", "given"), INVALID_LISTS)
def test_invalid_list_is_a_type_error(
    rejecting: tuple[SyncOrAsyncClient, CannedResponses], method: str, name: str, given: object
) -> None:
    client, handler = rejecting
    with pytest.raises(TypeError, match=rf"^{name}.* pass ") as caught:
        client(method, **{name: given})
    assert not isinstance(caught.value, TiedlmError)
    assert handler.requests == []


@pytest.mark.parametrize(
    ("method", "fields", "message"),
    [
        ("score", {"text": ["a", "b"]}, r"text is a list: pass a str, or a list as texts=\[…\]"),
        ("score", {"text": b"a"}, "text is a bytes: pass a str"),
        ("score", {"text": "a", "context": ["b"]}, "context is a list: pass a str, or a list as"),
        ("score", {"texts": ["a", 5]}, r"texts\[1\] is an int: pass a str"),
        ("score", {"texts": ["a", None]}, r"texts\[1\] is None: pass a str"),
        ("score", {"token_ids": [[1], [2, "3"]]}, r"token_ids\[1\]\[1\] is a str: pass an int"),
        ("score", {"token_ids": [[1], None]}, r"token_ids\[1\] is None: pass a list of ids"),
        ("score", {"text": "a", "cache": "all"}, "cache is a str: pass a dict"),
        ("next_token", {"context": b"a"}, "context is a bytes: pass a str"),
        ("next_token", {"prefix": 5}, "prefix is an int: pass a str"),
        ("next_token", {"token_ids": [1.5]}, r"token_ids\[0\] is a float: pass an int"),
        ("rescore", {"hypotheses": [5]}, r"hypotheses\[0\] is an int: pass a str, a Hypothesis"),
        ("rescore", {"hypotheses": ["a", ("b", 1.0)]}, r"hypotheses\[1\] is a tuple: pass a str"),
        ("rescore", {"hypotheses": [{"text": b"a"}]}, r"hypotheses\[0\].text is a bytes: pass a"),
        (
            "rescore",
            {"hypotheses": [{"text": "a", "id": 5}]},
            r"hypotheses\[0\].id is an int: pass",
        ),
        ("detokenize", {"tokens": np.ones((2, 2), int)}, r"tokens\[0\] is a ndarray: pass an int"),
        ("tokenize", {"prompt": ["a"]}, "prompt is a list: pass a str"),
        ("score", {"text": "a", "top": object()}, "a object cannot be encoded"),
    ],
)
def test_type_error_names_the_argument(
    rejecting: tuple[SyncOrAsyncClient, CannedResponses],
    method: str,
    fields: dict[str, Any],
    message: str,
) -> None:
    client, handler = rejecting
    with pytest.raises(TypeError, match=f"^{message}"):
        client(method, **fields)
    assert handler.requests == []


def test_hypotheses_may_be_dicts_strings_or_objects(sent_body: SentBody) -> None:
    given = [
        {"text": "the liver", "score": -1.0},
        "the river",
        Hypothesis("the fever", -2.5, "c"),
        {"text": "the ever", "id": None},
    ]
    assert sent_body("rescore", given, lm_weight=0.5)["hypotheses"] == [
        {"text": "the liver", "score": -1.0},
        {"text": "the river"},
        {"text": "the fever", "score": -2.5, "id": "c"},
        {"text": "the ever"},
    ]


def test_all_kinds_of_hypotheses_rank_alike(client: SyncOrAsyncClient, api: ApiClient) -> None:
    texts = ["the liver", "the river", "river the"]
    dicts = [{"text": text, "score": -len(text)} for text in texts]
    objects = [Hypothesis(text, -len(text)) for text in texts]
    expected = api.post("/rescore", hypotheses=dicts, context="We saw").json()["results"]
    for given in (dicts, objects, iter(objects), [dicts[0], *objects[1:]]):
        results = client("rescore", given, context="We saw").results
        assert [result.index for result in results] == [result["index"] for result in expected]
        assert [result.total for result in results] == [result["total"] for result in expected]


@pytest.mark.parametrize(
    ("method", "name", "given", "expected"),
    [
        ("score", "texts", ("a", "b"), ["a", "b"]),
        ("score", "texts", {1: "a", 2: "b"}.values(), ["a", "b"]),
        ("score", "texts", np.array(["a", "b"]), ["a", "b"]),
        ("score", "token_ids", np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        ("score", "token_ids", [np.array([1, 2]), (3,), range(2)], [[1, 2], [3], [0, 1]]),
        ("score", "targets", [[{"a": np.float32(0.5)}]], [[{"a": 0.5}]]),
        ("next_token", "token_ids", np.arange(3), [0, 1, 2]),
        ("detokenize", "tokens", (np.int64(1), 2), [1, 2]),
        ("detokenize", "tokens", [], []),
        ("next_token", "temperature", np.float32(0.5), 0.5),
        ("next_token", "top_k", np.int32(3), 3),
    ],
)
def test_arrays_and_sequences_are_sent_as_lists(
    sent_body: SentBody, method: str, name: str, given: Any, expected: object
) -> None:
    assert sent_body(method, **{name: given})[name] == expected


def test_iterator_is_sent_as_list(sent_body: SentBody) -> None:
    assert sent_body("score", texts=(text for text in "ab"))["texts"] == ["a", "b"]


def test_data_frame_column_is_sent_as_list(sent_body: SentBody) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"text": ["a", "b"], "score": [1, 2]}, index=[7, 3])
    assert sent_body("score", texts=table["text"])["texts"] == ["a", "b"]
    rows = table.to_dict("records")
    assert sent_body("rescore", rows)["hypotheses"] == rows
