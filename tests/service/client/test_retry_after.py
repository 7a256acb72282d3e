"""Times to wait that no service means, and what the Python client makes of them."""

import math
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client import (
    Retries,
    Unavailable,
)
from service.client.requests import detokenize
from service.client.retries import exchange
from tests.support.sync_or_async_client import CannedResponses, SyncOrAsyncClient, error_response

URL = "http://tiedlm.test"
ONCE = Retries(count=0)

Asking = Callable[..., SyncOrAsyncClient]


@pytest.fixture(params=[False, True], ids=["Client", "AsyncClient"])
def asking(request: pytest.FixtureRequest) -> Asking:
    def make(url: str = URL, handler: Any = None, **options: Any) -> SyncOrAsyncClient:
        return SyncOrAsyncClient(request.param, url, handler, **{"retries": ONCE, **options})

    return make


ODD_TIMES = [
    *("-1", "nan", "inf", "1e400", "9" * 400, "9" * 5000, "99999999999999999999", "1.5", "+3"),
    *("Mon, 02 Jun 99999999 12:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "31 Feb", "-1 -1 -1"),
    *("Mon, 99 Jun 2025 99:99:99 GMT", "Mon, 02 Jun 2025 12:00:00 +99999999999999999999", ","),
]


@pytest.mark.parametrize("value", ODD_TIMES)
@pytest.mark.parametrize("date", [None, "Mon, 02 Jun 2025 12:00:00 GMT", "Mon, 02 Jun 99999999"])
def test_a_time_that_nobody_waits_is_not_waited(
    asking: Asking, value: str, date: str | None
) -> None:
    busy = error_response(503, "not_ready")
    busy.headers["Retry-After"] = value
    if date is not None:
        busy.headers["Date"] = date
    ask = asking(handler=CannedResponses(busy), retries=Retries(count=4, max_wait_seconds=30))
    with pytest.raises(Unavailable) as caught:
        ask("info")
    assert sum(ask.sleeps) <= 30
    assert all(math.isfinite(slept) and slept >= 0 for slept in ask.sleeps)
    after = caught.value.retry_after_seconds
    assert after is None or 0 <= after < 10**9
    assert caught.value.code == "not_ready"


@given(st.text(st.characters(max_codepoint=255), max_size=30) | st.text("0123456789: ,AGJMNTUZ+-"))
def test_any_time_to_wait_is_read_or_left(value: str) -> None:
    headers = [(b"Retry-After", value.encode("latin-1")), (b"Date", value.encode("latin-1"))]
    answer = httpx.Response(503, headers=headers)
    steps = exchange(detokenize([2]), ONCE)
    next(steps)
    with pytest.raises(Unavailable):
        steps.send(answer)
