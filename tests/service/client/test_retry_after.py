"""Invalid and unreasonable `Retry-After` headers."""

import math

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client import Retries, Unavailable
from service.client.requests import detokenize
from service.client.retries import iterate_attempts
from tests.service.client.conftest import MakeClient
from tests.support.sync_or_async_client import CannedResponses, error_response

INVALID_VALUES = [
    *("-1", "nan", "inf", "1e400", "9" * 400, "9" * 5000, "99999999999999999999", "1.5", "+3"),
    *("Mon, 02 Jun 99999999 12:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "31 Feb", "-1 -1 -1"),
    *("Mon, 99 Jun 2025 99:99:99 GMT", "Mon, 02 Jun 2025 12:00:00 +99999999999999999999", ","),
]


@pytest.mark.parametrize("value", INVALID_VALUES)
@pytest.mark.parametrize("date", [None, "Mon, 02 Jun 2025 12:00:00 GMT", "Mon, 02 Jun 99999999"])
def test_invalid_retry_after_is_ignored(
    make_client: MakeClient, value: str, date: str | None
) -> None:
    busy = error_response(503, "not_ready")
    busy.headers["Retry-After"] = value
    if date is not None:
        busy.headers["Date"] = date
    client = make_client(CannedResponses(busy), retries=Retries(count=4, max_wait_seconds=30))
    with pytest.raises(Unavailable) as caught:
        client("info")
    assert sum(client.sleeps) <= 30
    assert all(math.isfinite(slept) and slept >= 0 for slept in client.sleeps)
    retry_after = caught.value.retry_after_seconds
    assert retry_after is None or 0 <= retry_after < 10**9
    assert caught.value.code == "not_ready"


@given(st.text(st.characters(max_codepoint=255), max_size=30) | st.text("0123456789: ,AGJMNTUZ+-"))
def test_any_header_raises_unavailable(value: str) -> None:
    headers = [(b"Retry-After", value.encode("latin-1")), (b"Date", value.encode("latin-1"))]
    response = httpx.Response(503, headers=headers)
    attempts = iterate_attempts(detokenize([2]), Retries(count=0))
    next(attempts)
    with pytest.raises(Unavailable):
        attempts.send(response)
