"""What holds for every request before a route sees it and after: id, size, metrics, log line.

Plain ASGI. The whole body is read here, up to the limit, so that nothing larger reaches a parser;
from then on a client that leaves cancels its request.
"""

import asyncio
import logging
import re
import time
import uuid

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BodyTooLarge
from service.http.errors import envelope, internal_error, service_error
from service.metrics import Metrics

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

log = logging.getLogger(__name__)


class ClientLeft(Exception):
    pass


class Exchange:
    """One request and its answer on the way out."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.headers = Headers(scope=scope)
        self.request_id = _request_id(self.headers)
        self.status = 0
        self.answered = False
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-Id"] = self.request_id
        elif not message.get("more_body", False):
            self.answered = True
        await self._send(message)


class Boundary:
    def __init__(self, app: ASGIApp, max_body_bytes: int, metrics: Metrics) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._metrics = metrics
        self._children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        exchange = Exchange(scope, send)
        try:
            await self._answer(scope, receive, exchange)
        except ClientLeft:
            log.info("%s %s: the client left", scope["method"], exchange.request_id)
            return
        except Exception:
            log.exception("request %s failed", exchange.request_id)
            if exchange.status:
                raise  # half an answer is out: the connection must break, not end as if whole
            await internal_error()(scope, receive, exchange.send)
        self._record(scope, exchange, time.perf_counter() - begun)

    def _record(self, scope: Scope, exchange: Exchange, seconds: float) -> None:
        route, status = _route(scope), str(exchange.status)
        if (route, status) not in self._children:  # looking them up costs more than counting
            self._children[route, status] = (
                self._metrics.requests.labels(route, status),
                self._metrics.request_seconds.labels(route),
            )
        requests, request_seconds = self._children[route, status]
        requests.inc()
        request_seconds.observe(seconds)
        if "error_code" in scope:
            self._metrics.rejected.labels(scope["error_code"]).inc()
        milliseconds, request_id = seconds * 1e3, exchange.request_id
        log.info("%s %s %s %.1f ms %s", scope["method"], route, status, milliseconds, request_id)

    async def _answer(self, scope: Scope, receive: Receive, exchange: Exchange) -> None:
        try:
            body = await self._read(receive, exchange.headers)
        except BodyTooLarge as error:
            response = service_error(error)
            response.headers["Connection"] = "close"
            await response(scope, receive, exchange.send)
            return
        if not _is_utf_8(body):
            message = "the body is not JSON, or not UTF-8"
            await envelope(400, "invalid_json", message)(scope, receive, exchange.send)
            return
        await self._unless_gone(scope, body, receive, exchange)

    async def _unless_gone(
        self, scope: Scope, body: bytes, receive: Receive, exchange: Exchange
    ) -> None:
        """Run the application, and cancel it when the client leaves before its answer is out."""
        task = asyncio.current_task()
        assert task is not None
        left = False

        async def watch() -> None:
            nonlocal left
            while (await receive())["type"] != "http.disconnect":
                pass
            if not exchange.answered:
                left = True
                task.cancel()

        watcher = asyncio.create_task(watch())
        try:
            await self._app(scope, _replay(body), exchange.send)
        except asyncio.CancelledError:
            if not left:
                raise
            task.uncancel()
            raise ClientLeft from None
        finally:
            watcher.cancel()

    async def _read(self, receive: Receive, headers: Headers) -> bytes:
        """Raises BodyTooLarge as soon as that is known, and ClientLeft."""
        limit = self._max_body_bytes
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise BodyTooLarge(f"the body has {announced} bytes; at most {limit} are allowed")
        chunks, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > limit:
                raise BodyTooLarge(f"the body has more than {limit} bytes, which is the limit")
            if not message.get("more_body", False):
                return b"".join(chunks)


def _replay(body: bytes) -> Receive:
    """A receive that gives the body that was read, and then waits for what never comes."""
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _is_utf_8(body: bytes) -> bool:
    """Python parses UTF-16 and UTF-32 too; their ASCII holds NULs, which JSON never does."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body


def _route(scope: Scope) -> str:
    """The route's pattern: paths that match none are one name, whatever a scanner tries."""
    route = scope.get("route")
    return getattr(route, "path", "unmatched")
