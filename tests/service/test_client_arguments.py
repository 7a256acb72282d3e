"""What the Python client takes as arguments, what it refuses, and what it sends."""

import json
import math
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from service.client import AsyncClient, Client, Hypothesis, NoAnswer, NotSent, TiedlmError
from tests.service.either_client import Answers, EitherClient, error_answer
from tests.service.wire import Wire

URL = "http://tiedlm.test/below"
REFUSED = error_answer(422, "invalid_request")
HALF = "a\ud800"
SECRETS = "http://somebody:pass-word@127.0.0.1:1/below?token=hidden"

Sent = Callable[..., Any]


@pytest.fixture(params=[False, True], ids=["Client", "AsyncClient"])
def answers(request: pytest.FixtureRequest) -> tuple[EitherClient, Answers]:
    handler = Answers(REFUSED)
    return EitherClient(request.param, URL, handler), handler


@pytest.fixture
def sent(answers: tuple[EitherClient, Answers]) -> Sent:
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
    answers: tuple[EitherClient, Answers], method: str, name: str, given: object
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
    answers: tuple[EitherClient, Answers], method: str, fields: dict[str, Any], message: str
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


def test_hypotheses_of_any_kind_are_ranked_alike(address: tuple[str, int], wire: Wire) -> None:
    ask = EitherClient(False, f"http://{address[0]}:{address[1]}")
    texts = ["the liver", "the river", "river the"]
    dictionaries = [{"text": text, "score": -len(text)} for text in texts]
    objects = [Hypothesis(text, -len(text)) for text in texts]
    answer = wire.post("/rescore", hypotheses=dictionaries, context="We saw").json()["results"]
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


@pytest.mark.parametrize(
    ("method", "fields", "param"),
    [
        ("score", {"text": HALF}, "text"),
        ("score", {"texts": ["a", HALF]}, "texts.1"),
        ("score", {"text": "a", "context": "\udfff"}, "context"),
        ("score", {"texts": ["a"], "contexts": [HALF]}, "contexts.0"),
        ("score", {"text": "a", "calibration": HALF}, "calibration"),
        ("score", {"text": "a", "state": HALF}, "state"),
        ("score", {"text": "a", "unit": HALF}, "unit"),
        ("score", {"text": "a", "targets": [[{"b": 0.5, HALF: 0.5}]]}, "targets.0.0"),
        ("score", {"text": "a", "cache": {HALF: 1}}, "cache"),
        ("next_token", {"context": HALF}, "context"),
        ("next_token", {"candidates": ["a", HALF]}, "candidates.1"),
        ("next_token", {"prefix": HALF}, "prefix"),
        ("next_token", {"state": HALF}, "state"),
        ("rescore", {"hypotheses": ["a", HALF]}, "hypotheses.1.text"),
        ("rescore", {"hypotheses": [{"text": "a", "id": HALF}]}, "hypotheses.0.id"),
        ("rescore", {"hypotheses": [{"text": "a", HALF: 1}]}, "hypotheses.0"),
        ("rescore", {"hypotheses": ["a"], "context": HALF}, "context"),
        ("tokenize", {"prompt": HALF}, "prompt"),
    ],
)
def test_a_lone_surrogate_is_not_sent(
    answers: tuple[EitherClient, Answers], method: str, fields: dict[str, Any], param: str
) -> None:
    ask, handler = answers
    with pytest.raises(NotSent, match="surrogate") as caught:
        ask(method, **fields)
    assert isinstance(caught.value, TiedlmError)
    assert caught.value.param == param
    str(caught.value).encode()
    assert handler.requests == []


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float32("nan")])
@pytest.mark.parametrize(
    ("method", "fields", "param"),
    [
        ("rescore", lambda x: {"hypotheses": ["a"], "lm_weight": x}, "lm_weight"),
        ("rescore", lambda x: {"hypotheses": [{"text": "a", "score": x}]}, "hypotheses.0.score"),
        ("score", lambda x: {"text": "a", "targets": [[{"b": x}]]}, "targets.0.0.b"),
        ("next_token", lambda x: {"temperature": x}, "temperature"),
    ],
)
def test_what_json_has_no_number_for_is_not_sent(
    answers: tuple[EitherClient, Answers], method: str, fields: Any, param: str, number: float
) -> None:
    ask, handler = answers
    with pytest.raises(NotSent, match="JSON") as caught:
        ask(method, **fields(number))
    assert caught.value.param == param
    assert handler.requests == []


def test_what_no_json_can_hold_is_not_sent(answers: tuple[EitherClient, Answers]) -> None:
    ask, _ = answers
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    circle: dict[str, Any] = {}
    circle["self"] = circle
    for given in (deep, circle):
        with pytest.raises(NotSent, match="nested too deeply"):
            ask("rescore", [{"text": "a", "score": given}])
    with pytest.raises(NotSent, match="too long") as caught:
        ask("next_token", top_k=10**5000)
    assert caught.value.param == "top_k"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    "address",
    [
        *("", "/below", "localhost:8000", "ftp://a", "http://", "http://[::1", "http://\ud800/"),
        *("http://a:pass-word@b:c", f"http://{'a' * 64}.com", "http://xn--a/", "http://a\n/"),
    ],
)
def test_what_is_no_address_is_refused_unquoted(
    kind: type[Client] | type[AsyncClient], address: str
) -> None:
    with pytest.raises(NotSent, match="base_url") as caught:
        kind(address)
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("key", ["secret\n", "secret\ud800", "sécret", "secret\x7f"])
def test_a_key_that_no_header_holds_is_refused_unquoted(
    kind: type[Client] | type[AsyncClient], key: str
) -> None:
    with pytest.raises(NotSent, match="printable ASCII") as caught:
        kind(api_key=key)
    assert "cret" not in str(caught.value)
    with pytest.raises(TypeError, match="api_key is a bytes: give a str"):
        kind(api_key=key.encode("utf-8", "replace"))  # type: ignore[arg-type]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_answer_names_the_address_without_secrets(asynchronous: bool) -> None:
    answers = Answers(httpx.ConnectError("[Errno 111] Connection refused"))
    ask = EitherClient(asynchronous, SECRETS, answers, api_key="sk-hidden")
    with pytest.raises(NoAnswer) as caught:
        ask("score", "a")
    assert caught.value.message == (
        "no answer from http://127.0.0.1:1/below/score: "
        "ConnectError: [Errno 111] Connection refused"
    )
    for secret in ("somebody", "pass-word", "hidden"):
        assert secret not in str(caught.value)
