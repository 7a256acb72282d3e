"""`Client` and `AsyncClient`: both drive the same attempts, one blocking and one with asyncio."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, closing
from types import TracebackType
from typing import Self, TypeVar, cast

import httpx

from service.client import requests
from service.client.addresses import parse_base_url, redact_url
from service.client.calls import Call
from service.client.encoding import encode_json
from service.client.http_requests import build_request, default_headers
from service.client.methods import async_method, blocking_method
from service.client.response_body import MAX_ANSWER_BYTES, ResponseBody
from service.client.retries import Outcome, Retries, iterate_attempts
from service.client.score_request import score

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8000"
# The service lets a request wait for 30 s; the rest is for its computation.
TIMEOUT_SECONDS = 60.0


class Client:
    """A blocking client of one service. Threads may share it; close it at the end.

    >>> with Client("http://127.0.0.1:8000") as client:
    ...     perplexity = client.score("The old river ran.").summary.perplexity

    - `api_key` is sent as `Authorization: Bearer`.
    - `timeout_seconds` limits connecting and each wait for bytes of a response. A whole response
      may take ten times as long.
    - `max_answer_bytes` limits a response body, compressed and decompressed. A larger one raises
      ServerError.
    - `transport` is an httpx transport: a proxy, your own TLS settings, a mock. By default httpx
      uses the proxies of the environment.
    - `sleep` waits between attempts, in seconds.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: Retries = Retries(),  # noqa: B008 - frozen
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._http = httpx.Client(
            base_url=parse_base_url(base_url),
            headers=default_headers(api_key),
            timeout=timeout_seconds,
            transport=transport,
        )
        self._retries = retries
        self._body_limits = max_answer_bytes, timeout_seconds
        self._sleep = sleep

    def _send(self, call: Call[T]) -> T:
        content = None if call.body is None else encode_json(call.body)
        attempts = iterate_attempts(call, self._retries, redact_url(self._http.base_url, call.path))
        outcome: Outcome | None = None
        while True:
            try:
                attempt = attempts.send(outcome)
            except StopIteration as end:
                return cast(T, end.value)
            if attempt.wait_seconds:
                self._sleep(attempt.wait_seconds)
            request = build_request(self._http, call, content, attempt.request_id)
            try:
                outcome = self._receive(request)
            except httpx.RequestError as error:
                outcome = error

    def _receive(self, request: httpx.Request) -> httpx.Response:
        with closing(self._http.send(request, stream=True)) as response:
            body = ResponseBody(response, *self._body_limits)
            for chunk in [response.content] if body.already_read else response.iter_raw():
                if not body.add(chunk):
                    break
        return body.to_response()

    score = blocking_method(score)
    next_token = blocking_method(requests.next_token)
    rescore = blocking_method(requests.rescore)
    tokenize = blocking_method(requests.tokenize)
    detokenize = blocking_method(requests.detokenize)
    info = blocking_method(requests.info)
    ready = blocking_method(requests.ready)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient:
    """The same client with coroutine methods. Under trio pass `sleep=trio.sleep`.

    async with AsyncClient() as client:
        perplexity = (await client.score("The old river ran.")).summary.perplexity
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: Retries = Retries(),  # noqa: B008 - frozen
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=parse_base_url(base_url),
            headers=default_headers(api_key),
            timeout=timeout_seconds,
            transport=transport,
        )
        self._retries = retries
        self._body_limits = max_answer_bytes, timeout_seconds
        self._sleep = sleep

    async def _send(self, call: Call[T]) -> T:
        content = None if call.body is None else encode_json(call.body)
        attempts = iterate_attempts(call, self._retries, redact_url(self._http.base_url, call.path))
        outcome: Outcome | None = None
        while True:
            try:
                attempt = attempts.send(outcome)
            except StopIteration as end:
                return cast(T, end.value)
            if attempt.wait_seconds:
                await self._sleep(attempt.wait_seconds)
            request = build_request(self._http, call, content, attempt.request_id)
            try:
                outcome = await self._receive(request)
            except httpx.RequestError as error:
                outcome = error

    async def _receive(self, request: httpx.Request) -> httpx.Response:
        async with aclosing(await self._http.send(request, stream=True)) as response:
            body = ResponseBody(response, *self._body_limits)
            if body.already_read:
                body.add(response.content)
                return body.to_response()
            async for chunk in response.aiter_raw():
                if not body.add(chunk):
                    break
        return body.to_response()

    score = async_method(score)
    next_token = async_method(requests.next_token)
    rescore = async_method(requests.rescore)
    tokenize = async_method(requests.tokenize)
    detokenize = async_method(requests.detokenize)
    info = async_method(requests.info)
    ready = async_method(requests.ready)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
