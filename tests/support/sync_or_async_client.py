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
            return asyncio.run(self._awaited(method, *args, **fields))
        transport = self._mock or httpx.HTTPTransport()
        options = {**self._options, "transport": transport, "sleep": self.sleeps.append}
        with Client(self._base_url, **options) as client:
            return getattr(client, method)(*args, **fields)

    async def _awaited(self, method: str, *args: Any, **fields: Any) -> Any:
        async def sleep(seconds: float) -> None:
            self.sleeps.append(seconds)

        transport = self._mock or httpx.AsyncHTTPTransport()
        options = {**self._options, "transport": transport, "sleep": sleep}
        async with AsyncClient(self._base_url, **options) as client:
            return await getattr(client, method)(*args, **fields)


class CannedResponses:
    """A handler that returns its responses in order, repeats the last one, and keeps the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = answers

    def __call__(self, request: httpx.Request) -> httpx.Response:
        index = min(len(self.requests), len(self._answers) - 1)
        self.requests.append(request)
        answer = self._answers[index]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def error_response(status: int, code: str, **headers: str) -> httpx.Response:
    envelope = {"message": "not so", "type": "some_error", "param": "texts.3", "code": code}
    return httpx.Response(status, json={"error": envelope}, headers=headers)


def what_is_there(value: Any) -> Any:
    """JSON-like data with None and empty lists left out of objects, and tuples as lists."""
    if isinstance(value, dict):
        kept = {name: what_is_there(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item is not None and item != []}
    if isinstance(value, list | tuple):
        return [what_is_there(item) for item in value]
    return value
