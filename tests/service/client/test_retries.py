"""Which failures a client retries, how often, and how long it waits, against a mock transport."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client import BadRequest, ConnectionFailed, Retries, Unavailable
from service.client.requests import detokenize
from service.client.retries import iterate_attempts
from tests.service.client.conftest import URL, MakeClient
from tests.support.sync_or_async_client import CannedResponses, SyncOrAsyncClient, error_response

GOOD = httpx.Response(200, json={"prompt": "the river"})
NOON = "Mon, 02 Jun 2025 12:00:00 GMT"

RetryingClient = Callable[..., SyncOrAsyncClient]


@pytest.fixture
def retrying_client(make_client: MakeClient) -> RetryingClient:
    """A factory of clients with the default retries."""

    def make(handler: CannedResponses, **options: Any) -> SyncOrAsyncClient:
        return make_client(handler, f"{URL}/below", **{"retries": Retries(), **options})

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
def test_busy_service_is_retried_after_retry_after(
    retrying_client: RetryingClient, busy: httpx.Response
) -> None:
    busy.headers["Date"] = NOON
    responses = CannedResponses(busy, GOOD)
    client = retrying_client(responses)
    assert client("detokenize", [2, 3]) == "the river"
    (slept,) = client.sleeps
    assert 3 <= slept <= 3.75
    first, second = responses.requests
    assert first.url.path == second.url.path == "/below/detokenize"
    assert json.loads(first.content) == json.loads(second.content) == {"tokens": [2, 3]}
    assert first.headers["X-Request-Id"] == second.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("header", "date"), [(None, NOON), ("soon", NOON), ("-5", NOON), (NOON, None), ("1.5", NOON)]
)
def test_without_retry_after_the_wait_doubles(
    retrying_client: RetryingClient, header: str | None, date: str | None
) -> None:
    named = {"Retry-After": header, "Date": date}
    headers = {name: value for name, value in named.items() if value is not None}
    client = retrying_client(CannedResponses(error_response(503, "not_ready", **headers)))
    with pytest.raises(Unavailable):
        client("info")
    for slept, longest in zip(client.sleeps, [0.25, 0.5, 1, 2], strict=True):
        assert longest / 2 <= slept <= longest


def test_past_date_needs_no_wait(retrying_client: RetryingClient) -> None:
    past = error_response(503, "draining", **{"Date": NOON, "Retry-After": NOON})
    client = retrying_client(CannedResponses(past, GOOD))
    assert client("detokenize", [2]) == "the river"
    assert client.sleeps == []


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_attempts_are_limited(retrying_client: RetryingClient, retries: int) -> None:
    responses = CannedResponses(overloaded(1))
    with pytest.raises(Unavailable) as caught:
        retrying_client(responses, retries=Retries(count=retries))("info")
    assert len(responses.requests) == retries + 1
    assert (caught.value.status, caught.value.code) == (429, "overloaded")
    assert caught.value.retry_after_seconds == 1


def test_wait_beyond_the_limit_raises_at_once(retrying_client: RetryingClient) -> None:
    client = retrying_client(CannedResponses(overloaded(20)), retries=Retries(max_wait_seconds=30))
    with pytest.raises(Unavailable):
        client("info")
    assert len(client.sleeps) == 1
    client = retrying_client(CannedResponses(overloaded(31)), retries=Retries(max_wait_seconds=30))
    with pytest.raises(Unavailable):
        client("info")
    assert client.sleeps == []


@given(
    st.lists(st.none() | st.integers(0, 40), min_size=1, max_size=8),
    st.integers(0, 6),
    st.floats(0, 60),
)
def test_waits_and_attempts_stay_within_limits(
    retry_afters: list[int | None], count: int, limit: float
) -> None:
    attempts = iterate_attempts(detokenize([2]), Retries(count, limit))
    waits = [next(attempts).wait_seconds]
    raised = False
    for seconds in retry_afters:
        headers = {} if seconds is None else {"Retry-After": str(seconds)}
        try:
            waits.append(attempts.send(error_response(429, "overloaded", **headers)).wait_seconds)
        except Unavailable:
            raised = True
            break
        assert waits[-1] >= (seconds or 0)
    assert waits[0] == 0
    assert sum(waits) <= limit * (1 + 1e-12)
    assert len(waits) <= count + 1
    if not raised:
        with pytest.raises(StopIteration, match="the river"):
            attempts.send(GOOD)


@pytest.mark.parametrize(
    "lost",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("late"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("closed"),
    ],
)
def test_lost_connection_is_retried(retrying_client: RetryingClient, lost: Exception) -> None:
    client = retrying_client(CannedResponses(lost, lost, GOOD))
    assert client("detokenize", [2]) == "the river"
    assert len(client.sleeps) == 2


@pytest.mark.parametrize(
    "failure", [httpx.ReadTimeout("late"), httpx.PoolTimeout("full"), httpx.DecodingError("gzip")]
)
def test_timeouts_are_not_retried(retrying_client: RetryingClient, failure: Exception) -> None:
    responses = CannedResponses(failure)
    with pytest.raises(ConnectionFailed) as caught:
        retrying_client(responses)("detokenize", [2])
    (request,) = responses.requests
    assert caught.value.request_id == request.headers["X-Request-Id"]
    assert caught.value.__cause__ is failure
    assert type(failure).__name__ in caught.value.message


@pytest.mark.parametrize(
    ("response", "ready"),
    [
        (httpx.Response(200, json={"status": "ready"}), True),
        (error_response(503, "draining", **{"Retry-After": "1"}), False),
        (httpx.ConnectError("refused"), False),
        (httpx.ReadTimeout("late"), False),
    ],
)
def test_readiness_is_not_retried(
    retrying_client: RetryingClient, response: httpx.Response | Exception, ready: bool
) -> None:
    responses = CannedResponses(response)
    assert retrying_client(responses)("ready") is ready
    assert len(responses.requests) == 1


def test_key_is_sent(retrying_client: RetryingClient) -> None:
    responses = CannedResponses(GOOD)
    retrying_client(responses, api_key="sk-1")("detokenize", [2])
    retrying_client(responses)("detokenize", [2])
    with_key, without = responses.requests
    assert with_key.headers["Authorization"] == "Bearer sk-1"
    assert "Authorization" not in without.headers


def test_none_is_not_sent(retrying_client: RetryingClient) -> None:
    responses = CannedResponses(error_response(422, "invalid_request"))
    with pytest.raises(BadRequest):
        retrying_client(responses)("next_token", state="AAAA")
    body = json.loads(responses.requests[0].content)
    assert body["state"] == "AAAA"
    assert not {"bos", "context", "token_ids", "prefix"} & set(body)
