"""`Client` and `AsyncClient`: two drivers of one exchange, and the methods that start it."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing, closing
from functools import update_wrapper
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast, get_args

import httpx

from service.client import requests
from service.client.addresses import checked, shown
from service.client.encoding import written
from service.client.errors import NotSent
from service.client.requests import Call
from service.client.response_body import ACCEPTED, MAX_ANSWER_BYTES, Receiving
from service.client.retries import Outcome, Retries, exchange

P = ParamSpec("P")
T = TypeVar("T")
Method = TypeVar("Method", bound=Callable[..., Any])

LOCAL = "http://127.0.0.1:8000"
# Over the 30 s that the service lets a request wait, and then its work.
TIMEOUT_SECONDS = 60.0


def _described(method: Method, make: Callable[..., Call[Any]]) -> Method:
    """What help() and editors show: the call's own name, text and arguments."""
    signature = inspect.signature(make)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    (result,) = get_args(signature.return_annotation)
    update_wrapper(method, make)
    method.__dict__["__signature__"] = signature.replace(
        parameters=[own, *signature.parameters.values()], return_annotation=result
    )
    return method


def _blocking(make: Callable[P, Call[T]]) -> "Callable[Concatenate[Client, P], T]":
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._send(make(*args, **kwargs))

    return _described(method, make)


def _awaited(
    make: Callable[P, Call[T]],
) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]":
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._send(make(*args, **kwargs))

    return _described(method, make)


class Client:
    """A service, asked over HTTP. One client may be used from many threads; close it at the end.

    `with Client("http://127.0.0.1:8000") as client: client.score("The cat sat.").summary`

    - `api_key` is sent as `Authorization: Bearer`.
    - `timeout_seconds` bounds connecting, and each wait for bytes of an answer; ten times it bounds
      an answer from its head to its end.
    - `max_answer_bytes` bounds an answer as it comes and unpacked. A larger one is a ServerFailed.
    - `transport` is httpx's: a proxy, TLS of your own, a mock. By default httpx reads the
      environment's proxies.
    - `sleep` waits between attempts, in seconds.
    """

    def __init__(
        self,
        base_url: str = LOCAL,
        *,
        api_key: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: Retries = Retries(),  # noqa: B008 - frozen
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._http = httpx.Client(
            base_url=checked(base_url),
            headers=_headers(api_key),
            timeout=timeout_seconds,
            transport=transport,
        )
        self._retries = retries
        self._bounds = max_answer_bytes, timeout_seconds
        self._sleep = sleep

    def _send(self, call: Call[T]) -> T:
        content = None if call.body is None else written(call.body)
        steps = exchange(call, self._retries, shown(self._http.base_url, call.path))
        outcome: Outcome | None = None
        while True:
            try:
                attempt = steps.send(outcome)
            except StopIteration as end:
                return cast(T, end.value)
            if attempt.wait_seconds:
                self._sleep(attempt.wait_seconds)
            request = _request(self._http, call, content, attempt.request_id)
            try:
                outcome = self._receive(request)
            except httpx.RequestError as error:
                outcome = error

    def _receive(self, request: httpx.Request) -> httpx.Response:
        with closing(self._http.send(request, stream=True)) as head:
            receiving = Receiving(head, *self._bounds)
            for piece in [head.content] if receiving.already_read else head.iter_raw():
                if not receiving.add(piece):
                    break
        return receiving.ended()

    score = _blocking(requests.score)
    next_token = _blocking(requests.next_token)
    rescore = _blocking(requests.rescore)
    tokenize = _blocking(requests.tokenize)
    detokenize = _blocking(requests.detokenize)
    info = _blocking(requests.info)
    ready = _blocking(requests.ready)

    def close(self) -> None:
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
    """As `Client`, with methods to await; under trio give `sleep=trio.sleep`.

    `async with AsyncClient() as client: (await client.score("The cat sat.")).summary`
    """

    def __init__(
        self,
        base_url: str = LOCAL,
        *,
        api_key: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: Retries = Retries(),  # noqa: B008 - frozen
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=checked(base_url),
            headers=_headers(api_key),
            timeout=timeout_seconds,
            transport=transport,
        )
        self._retries = retries
        self._bounds = max_answer_bytes, timeout_seconds
        self._sleep = sleep

    async def _send(self, call: Call[T]) -> T:
        content = None if call.body is None else written(call.body)
        steps = exchange(call, self._retries, shown(self._http.base_url, call.path))
        outcome: Outcome | None = None
        while True:
            try:
                attempt = steps.send(outcome)
            except StopIteration as end:
                return cast(T, end.value)
            if attempt.wait_seconds:
                await self._sleep(attempt.wait_seconds)
            request = _request(self._http, call, content, attempt.request_id)
            try:
                outcome = await self._receive(request)
            except httpx.RequestError as error:
                outcome = error

    async def _receive(self, request: httpx.Request) -> httpx.Response:
        async with aclosing(await self._http.send(request, stream=True)) as head:
            receiving = Receiving(head, *self._bounds)
            if receiving.already_read:
                receiving.add(head.content)
                return receiving.ended()
            async for piece in head.aiter_raw():
                if not receiving.add(piece):
                    break
        return receiving.ended()

    score = _awaited(requests.score)
    next_token = _awaited(requests.next_token)
    rescore = _awaited(requests.rescore)
    tokenize = _awaited(requests.tokenize)
    detokenize = _awaited(requests.detokenize)
    info = _awaited(requests.info)
    ready = _awaited(requests.ready)

    async def close(self) -> None:
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


def _headers(api_key: str | None) -> dict[str, str]:
    headers = {"Accept-Encoding": ACCEPTED}
    if api_key is None:
        return headers
    if not isinstance(api_key, str):
        raise TypeError(f"api_key is a {type(api_key).__name__}: give a str")
    if not (api_key.isascii() and api_key.isprintable()):
        # Found here, because httpx would quote the key in its error.
        raise NotSent(
            "api_key holds a character that is not printable ASCII; remove it (often a newline at "
            "the end)"
        )
    return {**headers, "Authorization": f"Bearer {api_key}"}


def _request(
    http: httpx.Client | httpx.AsyncClient,
    call: Call[Any],
    content: bytes | None,
    request_id: str,
) -> httpx.Request:
    headers = {"X-Request-Id": request_id}
    if content is not None:
        headers["Content-Type"] = "application/json"
    return http.build_request(call.method, call.path, content=content, headers=headers)
