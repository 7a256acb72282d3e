"""Calls through `Client` or `AsyncClient`, so that one test covers both."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from service.client import AsyncClient, Client

Handler = Callable[[httpx.Request], httpx.Response]


class SyncOrAsyncClient:
    """A client per call, closed after it, that records its sleeps instead of sleeping.

    Without a handler it uses the network and ignores the proxies of the environment.
    """

    def __init__(
        self, asynchronous: bool, base_url: str, handler: Handler | None = None, **options: Any
    ) -> None:
        self.sleeps: list[float] = []
        self._asynchronous = asynchronous
        self._base_url = base_url
        self._mock = None if handler is None else httpx.MockTransport(handler)
        self._options = options

    def __call__(self, method: str, *args: Any, **fields: Any) -> Any:
        if self._asynchronous:
            return asyncio.run(self._call_async(method, *args, **fields))
        transport = self._mock or httpx.HTTPTransport()
        options = {**self._options, "transport": transport, "sleep": self.sleeps.append}
        with Client(self._base_url, **options) as client:
            return getattr(client, method)(*args, **fields)

    async def _call_async(self, method: str, *args: Any, **fields: Any) -> Any:
        async def sleep(seconds: float) -> None:
            self.sleeps.append(seconds)

        transport = self._mock or httpx.AsyncHTTPTransport()
        options = {**self._options, "transport": transport, "sleep": sleep}
        async with AsyncClient(self._base_url, **options) as client:
            return await getattr(client, method)(*args, **fields)


class CannedResponses:
    """A handler that returns its responses in turn, repeats the last, and keeps the requests."""

    def __init__(self, *responses: httpx.Response | Exception) -> None:
        self.requests: list[httpx.Request] = []
        self._responses = responses

    def __call__(self, request: httpx.Request) -> httpx.Response:
        index = min(len(self.requests), len(self._responses) - 1)
        self.requests.append(request)
        response = self._responses[index]
        if isinstance(response, Exception):
            raise response
        return httpx.Response(
            response.status_code, headers=response.headers, content=response.content
        )


def error_response(status: int, code: str, **headers: str) -> httpx.Response:
    envelope = {"message": "not so", "type": "some_error", "param": "texts.3", "code": code}
    return httpx.Response(status, json={"error": envelope}, headers=headers)


def drop_missing(value: Any) -> Any:
    """Return JSON-like data without None and empty lists in objects, and with tuples as lists."""
    if isinstance(value, dict):
        kept = {name: drop_missing(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item is not None and item != []}
    if isinstance(value, list | tuple):
        return [drop_missing(item) for item in value]
    return value
