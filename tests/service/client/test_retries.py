"""When the Python client asks again, how long it waits, and what it raises: against a mock."""

import json
import pickle
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client import (
    AsyncClient,
    BadRequest,
    Client,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidState,
    Retries,
    ServerError,
    TiedlmError,
    Unauthorized,
    Unavailable,
)
from service.client.requests import detokenize
from service.client.retries import exchange
from tests.support.sync_or_async_client import (
    CannedResponses,
    Handler,
    SyncOrAsyncClient,
    error_response,
)

URL = "http://tiedlm.test/below"
GOOD = httpx.Response(200, json={"prompt": "the river"})
NOON = "Mon, 02 Jun 2025 12:00:00 GMT"

Asking = Callable[..., SyncOrAsyncClient]


@pytest.fixture(params=[False, True], ids=["Client", "AsyncClient"])
def asking(request: pytest.FixtureRequest) -> Asking:
    def make(handler: Handler, **options: Any) -> SyncOrAsyncClient:
        return SyncOrAsyncClient(request.param, URL, handler, **options)

    return make


def overloaded(seconds: object) -> httpx.Response:
    return error_response(429, "overloaded", **{"Retry-After": str(seconds)})


@pytest.mark.parametrize(
    "busy",
    [
        overloaded(3),
        error_response(503, "not_ready", **{"Retry-After": "3"}),
        error_response(503, "draining", **{"Retry-After": "Mon, 02 Jun 2025 12:00:03 GMT"}),
    ],
)
def test_a_busy_service_is_asked_again_no_sooner_than_it_says(
    asking: Asking, busy: httpx.Response
) -> None:
    busy.headers["Date"] = NOON
    answers = CannedResponses(busy, GOOD)
    ask = asking(answers)
    assert ask("detokenize", [2, 3]) == "the river"
    (slept,) = ask.sleeps
    assert 3 <= slept <= 3.75
    first, second = answers.requests
    assert first.url.path == second.url.path == "/below/detokenize"
    assert json.loads(first.content) == json.loads(second.content) == {"tokens": [2, 3]}
    assert first.headers["X-Request-Id"] == second.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("header", "date"), [(None, NOON), ("soon", NOON), ("-5", NOON), (NOON, None), ("1.5", NOON)]
)
def test_without_a_time_to_wait_the_wait_doubles(
    asking: Asking, header: str | None, date: str | None
) -> None:
    named = {"Retry-After": header, "Date": date}
    headers = {name: value for name, value in named.items() if value is not None}
    ask = asking(CannedResponses(error_response(503, "not_ready", **headers)))
    with pytest.raises(Unavailable):
        ask("info")
    for slept, most in zip(ask.sleeps, [0.25, 0.5, 1, 2], strict=True):
        assert most / 2 <= slept <= most


def test_a_date_that_is_past_asks_for_no_wait(asking: Asking) -> None:
    past = error_response(503, "draining", **{"Date": NOON, "Retry-After": NOON})
    ask = asking(CannedResponses(past, GOOD))
    assert ask("detokenize", [2]) == "the river"
    assert ask.sleeps == []


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_attempts_are_counted(asking: Asking, retries: int) -> None:
    answers = CannedResponses(overloaded(1))
    with pytest.raises(Unavailable) as caught:
        asking(answers, retries=Retries(count=retries))("info")
    assert len(answers.requests) == retries + 1
    assert (caught.value.status, caught.value.code) == (429, "overloaded")
    assert caught.value.retry_after_seconds == 1


def test_a_wait_beyond_the_limit_is_not_begun(asking: Asking) -> None:
    ask = asking(CannedResponses(overloaded(20)), retries=Retries(max_wait_seconds=30))
    with pytest.raises(Unavailable):
        ask("info")
    assert len(ask.sleeps) == 1
    ask = asking(CannedResponses(overloaded(31)), retries=Retries(max_wait_seconds=30))
    with pytest.raises(Unavailable):
        ask("info")
    assert ask.sleeps == []


@given(
    st.lists(st.none() | st.integers(0, 40), min_size=1, max_size=8),
    st.integers(0, 6),
    st.floats(0, 60),
)
def test_no_call_waits_longer_or_asks_more_often_than_allowed(
    asked: list[int | None], count: int, limit: float
) -> None:
    steps = exchange(detokenize([2]), Retries(count, limit))
    waits = [next(steps).wait_seconds]
    raised = False
    for seconds in asked:
        headers = {} if seconds is None else {"Retry-After": str(seconds)}
        try:
            waits.append(steps.send(error_response(429, "overloaded", **headers)).wait_seconds)
        except Unavailable:
            raised = True
            break
        assert waits[-1] >= (seconds or 0)
    assert waits[0] == 0
    assert sum(waits) <= limit * (1 + 1e-12)
    assert len(waits) <= count + 1
    if not raised:
        with pytest.raises(StopIteration, match="the river"):
            steps.send(GOOD)


@pytest.mark.parametrize(
    "lost",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("late"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("the server left"),
    ],
)
def test_a_lost_connection_is_made_again(asking: Asking, lost: Exception) -> None:
    ask = asking(CannedResponses(lost, lost, GOOD))
    assert ask("detokenize", [2]) == "the river"
    assert len(ask.sleeps) == 2


@pytest.mark.parametrize(
    "failure", [httpx.ReadTimeout("late"), httpx.PoolTimeout("full"), httpx.DecodingError("gzip")]
)
def test_what_a_second_attempt_makes_worse_is_not_tried_again(
    asking: Asking, failure: Exception
) -> None:
    answers = CannedResponses(failure)
    with pytest.raises(ConnectionFailed) as caught:
        asking(answers)("detokenize", [2])
    (request,) = answers.requests
    assert caught.value.request_id == request.headers["X-Request-Id"]
    assert caught.value.__cause__ is failure
    assert type(failure).__name__ in caught.value.message


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_json", BadRequest),
        (401, "unauthorized", Unauthorized),
        (404, "not_found", BadRequest),
        (413, "body_too_large", BadRequest),
        (422, "unknown_token", BadRequest),
        (422, "invalid_state", InvalidState),
        (500, "internal", ServerError),
        (504, "deadline_exceeded", DeadlineExceeded),
    ],
)
def test_other_errors_are_raised_at_once(
    asking: Asking, status: int, code: str, kind: type[TiedlmError]
) -> None:
    answers = CannedResponses(error_response(status, code, **{"X-Request-Id": "theirs"}))
    with pytest.raises(kind) as caught:
        asking(answers)("score", "a")
    assert len(answers.requests) == 1
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.param) == (status, code, "texts.3")
    assert (error.message, error.request_id) == ("not so", "theirs")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (kind, str(error))


@pytest.mark.parametrize("status", [200, 302, 404, 502, 503])
@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"null", b"[]", b"{}", b'{"error": 1}', b"\xff", b'"prompt"']
)
def test_an_answer_of_someone_else_is_an_error_too(
    asking: Asking, status: int, content: bytes
) -> None:
    ask = asking(CannedResponses(httpx.Response(status, content=content)))
    for method, args in (("detokenize", ([2],)), ("score", ("a",))):
        with pytest.raises(TiedlmError) as caught:
            ask(method, *args)
        assert caught.value.status == status
        assert caught.value.code is None
        expected = {404: BadRequest, 503: Unavailable}.get(status, ServerError)
        assert type(caught.value) is expected


def test_fields_of_a_newer_service_are_ignored(asking: Asking) -> None:
    token = {"id": 7, "text": "a", "probability": 0.5, "logprob": -0.7, "rank": 1, "new": {}}
    answer = {
        "model": "m",
        "vocabulary_size": 9,
        "tokens": [token],
        "candidates": [],
        "entropy": None,
        "remaining_probability": 0.5,
        "new": [1],
    }
    result = asking(CannedResponses(httpx.Response(200, json=answer)))("next_token")
    assert [(one.id, one.rank) for one in result.tokens] == [(7, 1)]
    assert (result.candidates, result.entropy, result.state) == ((), None, None)


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (httpx.Response(200, json={"status": "ready"}), True),
        (error_response(503, "draining", **{"Retry-After": "1"}), False),
        (httpx.ConnectError("refused"), False),
        (httpx.ReadTimeout("late"), False),
    ],
)
def test_readiness_is_asked_once(
    asking: Asking, answer: httpx.Response | Exception, ready: bool
) -> None:
    answers = CannedResponses(answer)
    assert asking(answers)("ready") is ready
    assert len(answers.requests) == 1


def test_the_key_goes_along(asking: Asking) -> None:
    answers = CannedResponses(GOOD)
    asking(answers, api_key="sk-1")("detokenize", [2])
    asking(answers)("detokenize", [2])
    with_key, without = answers.requests
    assert with_key.headers["Authorization"] == "Bearer sk-1"
    assert "Authorization" not in without.headers


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_key_that_no_header_can_hold_is_refused_unquoted(
    kind: type[Client] | type[AsyncClient],
) -> None:
    with pytest.raises(
        ValueError, match="api_key holds a character that is not printable ASCII"
    ) as caught:
        kind(api_key="secret\n")
    assert "secret" not in str(caught.value)


def test_what_is_none_is_not_sent(asking: Asking) -> None:
    answers = CannedResponses(error_response(422, "invalid_request"))
    with pytest.raises(BadRequest):
        asking(answers)("next_token", state="AAAA")
    body = json.loads(answers.requests[0].content)
    assert body["state"] == "AAAA"
    assert not {"bos", "context", "token_ids", "prefix"} & set(body)
