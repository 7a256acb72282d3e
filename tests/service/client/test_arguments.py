"""What the Python client takes as arguments, and what it sends."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service.client import Hypothesis, TiedlmError
from tests.support.api_client import ApiClient
from tests.support.sync_or_async_client import CannedResponses, SyncOrAsyncClient, error_response

URL = "http://tiedlm.test/below"
REFUSED = error_response(422, "invalid_request")

Sent = Callable[..., Any]


@pytest.fixture(params=[False, True], ids=["Client", "AsyncClient"])
def answers(request: pytest.FixtureRequest) -> tuple[SyncOrAsyncClient, CannedResponses]:
    handler = CannedResponses(REFUSED)
    return SyncOrAsyncClient(request.param, URL, handler), handler


@pytest.fixture
def sent(answers: tuple[SyncOrAsyncClient, CannedResponses]) -> Sent:
    ask, handler = answers

    def body_of(method: str, *args: Any, **fields: Any) -> Any:
        with pytest.raises(TiedlmError, match="not so"):
            ask(method, *args, **fields)
        return json.loads(handler.requests[-1].content)

    return body_of


NO_LIST_OF_TEXTS = ["the river", b"the river", bytearray(b"x"), {"text": "x"}, {"x"}, 5, 1.5]
NO_LIST_OF_IDS = ["12", b"12", {1: 2}, {1, 2}, 7, np.array(3)]
LISTS = [
    *(("score", "texts", given) for given in NO_LIST_OF_TEXTS),
    *(("score", "contexts", given) for given in NO_LIST_OF_TEXTS),
    *(("next_token", "candidates", given) for given in NO_LIST_OF_TEXTS),
    *(("rescore", "hypotheses", given) for given in [*NO_LIST_OF_TEXTS, None]),
    *(("next_token", "token_ids", given) for given in NO_LIST_OF_IDS),
    *(("detokenize", "tokens", given) for given in NO_LIST_OF_IDS),
    *(("score", "token_ids", given) for given in [*NO_LIST_OF_IDS, [2, 3], ["ab"], [b"ab"], [{}]]),
    *(("score", "targets", given) for given in ["a", {"a": 1.0}, [{"a": 1.0}], [[[]]], ["ab"]]),
]


@pytest.mark.parametrize(("method", "name", "given"), LISTS)
def test_what_is_no_list_is_a_type_error(
    answers: tuple[SyncOrAsyncClient, CannedResponses], method: str, name: str, given: object
) -> None:
    ask, handler = answers
    with pytest.raises(TypeError, match=rf"^{name}.* give ") as caught:
        ask(method, **{name: given})
    assert not isinstance(caught.value, TiedlmError)
    assert handler.requests == []


@pytest.mark.parametrize(
    ("method", "fields", "message"),
    [
        ("score", {"text": ["a", "b"]}, r"text is a list: give a str, or several as texts=\[…\]"),
        ("score", {"text": b"a"}, "text is a bytes: give a str"),
        ("score", {"text": "a", "context": ["b"]}, "context is a list: give a str, or several as"),
        ("score", {"texts": ["a", 5]}, r"texts\[1\] is an int: give a str"),
        ("score", {"texts": ["a", None]}, r"texts\[1\] is None: give a str"),
        ("score", {"token_ids": [[1], [2, "3"]]}, r"token_ids\[1\]\[1\] is a str: give an int"),
        ("score", {"token_ids": [[1], None]}, r"token_ids\[1\] is None: give a list of ids"),
        ("score", {"text": "a", "cache": "all"}, "cache is a str: give a dict"),
        ("next_token", {"context": b"a"}, "context is a bytes: give a str"),
        ("next_token", {"prefix": 5}, "prefix is an int: give a str"),
        ("next_token", {"token_ids": [1.5]}, r"token_ids\[0\] is a float: give an int"),
        ("rescore", {"hypotheses": [5]}, r"hypotheses\[0\] is an int: give a str, a Hypothesis"),
        ("rescore", {"hypotheses": ["a", ("b", 1.0)]}, r"hypotheses\[1\] is a tuple: give a str"),
        ("rescore", {"hypotheses": [{"text": b"a"}]}, r"hypotheses\[0\].text is a bytes: give a"),
        (
            "rescore",
            {"hypotheses": [{"text": "a", "id": 5}]},
            r"hypotheses\[0\].id is an int: give",
        ),
        ("detokenize", {"tokens": np.ones((2, 2), int)}, r"tokens\[0\] is a ndarray: give an int"),
        ("tokenize", {"prompt": ["a"]}, "prompt is a list: give a str"),
        ("score", {"text": "a", "top": object()}, "a object cannot be sent"),
    ],
)
def test_an_argument_of_another_type_is_named(
    answers: tuple[SyncOrAsyncClient, CannedResponses],
    method: str,
    fields: dict[str, Any],
    message: str,
) -> None:
    ask, handler = answers
    with pytest.raises(TypeError, match=f"^{message}"):
        ask(method, **fields)
    assert handler.requests == []


def test_hypotheses_are_dictionaries_strings_and_objects(sent: Sent) -> None:
    given = [
        {"text": "the liver", "score": -1.0},
        "the river",
        Hypothesis("the fever", -2.5, "c"),
        {"text": "the ever", "id": None},
    ]
    assert sent("rescore", given, lm_weight=0.5)["hypotheses"] == [
        {"text": "the liver", "score": -1.0},
        {"text": "the river"},
        {"text": "the fever", "score": -2.5, "id": "c"},
        {"text": "the ever"},
    ]


def test_hypotheses_of_any_kind_are_ranked_alike(address: tuple[str, int], api: ApiClient) -> None:
    ask = SyncOrAsyncClient(False, f"http://{address[0]}:{address[1]}")
    texts = ["the liver", "the river", "river the"]
    dictionaries = [{"text": text, "score": -len(text)} for text in texts]
    objects = [Hypothesis(text, -len(text)) for text in texts]
    answer = api.post("/rescore", hypotheses=dictionaries, context="We saw").json()["results"]
    for given in (dictionaries, objects, iter(objects), [dictionaries[0], *objects[1:]]):
        results = ask("rescore", given, context="We saw").results
        assert [one.index for one in results] == [one["index"] for one in answer]
        assert [one.total for one in results] == [one["total"] for one in answer]


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
def test_arrays_and_sequences_are_lists(
    sent: Sent, method: str, name: str, given: Any, expected: object
) -> None:
    assert sent(method, **{name: given})[name] == expected


def test_an_iterator_is_a_list(sent: Sent) -> None:
    assert sent("score", texts=(text for text in "ab"))["texts"] == ["a", "b"]


def test_a_column_of_a_table_is_a_list(sent: Sent) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"text": ["a", "b"], "score": [1, 2]}, index=[7, 3])
    assert sent("score", texts=table["text"])["texts"] == ["a", "b"]
    rows = table.to_dict("records")
    assert sent("rescore", rows)["hypotheses"] == rows
