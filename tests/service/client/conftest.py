"""Clients of both kinds: against a mock transport or a socket, and against the real service."""

from collections.abc import Callable
from typing import Any

import pytest

from service.client import Retries
from tests.support.sync_or_async_client import CannedResponses, SyncOrAsyncClient, error_response

URL = "http://tiedlm.test"
MakeClient = Callable[..., SyncOrAsyncClient]


@pytest.fixture(params=[False, True], ids=["Client", "AsyncClient"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def make_client(asynchronous: bool) -> MakeClient:
    """A factory of clients; by default they have no retries."""

    def make(handler: Any = None, url: str = URL, **options: Any) -> SyncOrAsyncClient:
        return SyncOrAsyncClient(
            asynchronous, url, handler, **{"retries": Retries(count=0), **options}
        )

    return make


@pytest.fixture
def client(asynchronous: bool, address: tuple[str, int]) -> SyncOrAsyncClient:
    """A client of the real service."""
    return SyncOrAsyncClient(asynchronous, f"http://{address[0]}:{address[1]}")


@pytest.fixture
def rejecting(make_client: MakeClient) -> tuple[SyncOrAsyncClient, CannedResponses]:
    """A client whose requests are all rejected with 422, and the mock that keeps them."""
    handler = CannedResponses(error_response(422, "invalid_request"))
    return make_client(handler, url=f"{URL}/below"), handler
