"""What holds for every request before a route sees it and after: key, id, room in the queue, size,
time, the model that answers it, metrics, and its line in the log.

Plain ASGI. What would wait too long is refused here, for the less that costs the more is left for
the others. The whole body is read here, up to the limit, so that nothing larger reaches a parser;
from then on a client that leaves cancels its request.
"""

import asyncio
import logging
import time
from contextlib import AbstractAsyncContextManager

from prometheus_client import Counter, Histogram
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.arrays import Priority
from service.errors import DeadlineExceeded, Overloaded, RequestError, Unavailable
from service.http.accounting import read_tokens
from service.http.auth import Gate
from service.http.body.content_encoding import check_encoding, unpack
from service.http.body.request_body import ClientLeft, announced_bytes, is_utf_8, read_body, replay
from service.http.errors import envelope, internal_error, service_error
from service.http.model_registry import ModelRegistry
from service.http.plain_errors import in_the_envelope
from service.http.request_context import RequestContext
from service.http.root_path import below_root, from_root

# Routes that need the model, and where their first work queues.
LANES: dict[str, Priority] = {
    "/score": "bulk",
    "/rescore": "bulk",
    "/next-token": "interactive",
    "/v1/completions": "interactive",
}

# In the scope, by the protocol: when the request was whole but for its body. The event loop may
# have had others to begin before it.
SCHEDULED = "tiedlm.scheduled"
# And from here inwards: its answer on the way out, and how late the event loop started it.
EXCHANGE = "tiedlm.exchange"
LAG = "tiedlm.lag"

log = logging.getLogger(__name__)


class RequestMiddleware:
    def __init__(self, app: ASGIApp, serving: ModelRegistry, gate: Gate) -> None:
        self._app = from_root(app)
        self._serving = serving
        self._gate = gate
        self._settings = serving.model.settings
        self._metrics = serving.model.metrics
        self._children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        # Pages that may call must be able to read refusals too.
        self._inner = in_the_envelope(_open_to_pages(self._answer, self._settings.cors_origins))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scheduled: float = scope.get(SCHEDULED, time.perf_counter())
        exchange = RequestContext(scope, send, self._serving.draining)
        # A copy, because the server reads its own: it sends no body to HEAD.
        scope = below_root(scope, self._settings.root_path)
        scope["method"] = "GET" if exchange.method == "HEAD" else exchange.method
        scope[EXCHANGE] = exchange
        scope[LAG] = time.perf_counter() - scheduled
        tokens: list[int] = []
        read_tokens.set(tokens)
        try:
            with self._serving.lease() as scope["model"]:
                await self._inner(scope, receive, exchange.send)
        except ClientLeft:
            log.info("the client left", extra={"request_id": exchange.request_id})
            return
        self._record(scope, exchange, time.perf_counter() - scheduled, sum(tokens))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: RequestContext = scope[EXCHANGE]
        try:
            await self._admit(scope, receive, send)
        except ClientLeft:
            raise
        except Exception:
            log.exception("the request failed", extra={"request_id": exchange.request_id})
            if exchange.status:
                raise  # half an answer is out: the connection must break, not end as if whole
            await internal_error()(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings, headers = self._settings, scope[EXCHANGE].headers
        try:
            self._gate.check(scope["path"], headers)
            priority, size = LANES.get(scope["path"]), announced_bytes(headers)
            slot = scope["model"].admission.admit(priority, size, scope[LAG])
            packed = check_encoding(headers)
            body = await read_body(
                receive, headers, settings.max_body_bytes, settings.client_timeout
            )
            if packed:
                body = await unpack(body, settings.max_body_bytes)
        except (RequestError, Unavailable) as error:
            await service_error(error)(scope, receive, send)
            return
        if not is_utf_8(body):
            message = "the body is not JSON, or not UTF-8"
            await envelope(400, "invalid_json", message)(scope, receive, send)
            return
        slot.body_bytes = len(body)
        await self._unless_gone(scope, body, slot, receive, send)

    async def _unless_gone(
        self,
        scope: Scope,
        body: bytes,
        slot: AbstractAsyncContextManager[None],
        receive: Receive,
        send: Send,
    ) -> None:
        """Run the application, and cancel it when the client leaves before its answer is out."""
        exchange: RequestContext = scope[EXCHANGE]
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
            async with slot:
                await self._app(scope, replay(body), send)
        except (Overloaded, DeadlineExceeded) as error:  # while it waited for its turn
            await service_error(error)(scope, receive, send)
        except asyncio.CancelledError:
            if not left:
                raise
            task.uncancel()
            raise ClientLeft from None
        finally:
            watcher.cancel()

    def _record(self, scope: Scope, exchange: RequestContext, seconds: float, tokens: int) -> None:
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
        if log.isEnabledFor(logging.INFO):
            fields = {
                "method": scope[EXCHANGE].method,
                "route": route,
                "status": exchange.status,
                "tokens": tokens,
                "milliseconds": round(seconds * 1e3, 2),
                "request_id": exchange.request_id,
            }
            log.info(" ".join(map(str, fields.values())), extra=fields)


def _open_to_pages(app: ASGIApp, origins: list[str]) -> ASGIApp:
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "HEAD", "POST"],
        allow_headers=["Authorization", "Content-Encoding", "Content-Type", "X-Request-Id"],
        expose_headers=["X-Request-Id", "Retry-After"],
    )


def _route(scope: Scope) -> str:
    """The route's pattern: paths that match none are one name, whatever a scanner tries."""
    path: str = scope["path"]
    known = path if path in LANES else "unmatched"  # refused at the door
    if scope["method"] == "OPTIONS":
        known = "preflight"
    route: str = getattr(scope.get("route"), "path", known)
    return route
