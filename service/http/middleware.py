"""RequestMiddleware: what every request passes before and after its route.

    key → admission → body (size, time, gzip, UTF-8) → slot in the application → route
        → headers → metrics and log line

Rejects requests that would wait too long before reading their body: an early rejection is cheap.
The whole body is read here, up to the limit, so that nothing larger reaches a parser. From then on
a client that disconnects cancels its request. Plain ASGI.
"""

import logging
import time
from contextlib import AbstractAsyncContextManager

from prometheus_client import Counter, Histogram
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.arrays import Priority
from service.errors import DeadlineExceeded, Overloaded, RequestError, Unavailable
from service.http.auth import Authenticator
from service.http.body.content_encoding import check_encoding, unpack
from service.http.body.request_body import (
    ClientDisconnected,
    announced_bytes,
    is_utf_8,
    read_body,
    replay,
)
from service.http.disconnect import cancel_on_disconnect
from service.http.errors import envelope, internal_error, service_error
from service.http.model_registry import ModelRegistry
from service.http.plain_errors import with_error_envelope
from service.http.request_context import RequestContext, request_context
from service.http.root_path import restore_root, strip_root

# The routes that run the model, and the priority of their work in the queue.
PRIORITY_BY_PATH: dict[str, Priority] = {
    "/score": "bulk",
    "/rescore": "bulk",
    "/next-token": "interactive",
    "/v1/completions": "interactive",
}
METHODS = "GET, HEAD, OPTIONS, POST"

log = logging.getLogger(__name__)


class RequestMiddleware:
    """The ASGI application around all routes, which leases a model to each request."""

    def __init__(self, app: ASGIApp, models: ModelRegistry, authenticator: Authenticator) -> None:
        self._app = restore_root(app)
        self._models = models
        self._authenticator = authenticator
        self._settings = models.model.settings
        self._metrics = models.model.metrics
        self._route_metrics: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        # CORS is outside of the checks, so that allowed pages can read errors too.
        answer = _with_cors(self._answer, self._settings.cors_origins)
        self._answer_any = with_error_envelope(answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = request_context(scope)
        # A copy, because uvicorn reads its own scope: it sends no body to HEAD.
        scope = strip_root(scope, self._settings.root_path)
        context.begin(scope, self._metrics)
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
        respond = context.respond_through(send, close_connection=self._models.draining)
        try:
            with self._models.lease() as context.model:
                await self._answer_any(scope, receive, respond)
        except ClientDisconnected:
            log.info("the client disconnected", extra={"request_id": context.request_id})
        else:
            self._record(scope, context)
        finally:
            del context.model  # the connection keeps its last scope, which must not keep a model

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an unexpected exception with 500, unless the response has started: the connection
        must then break, so that half a response does not look whole.
        """
        context = request_context(scope)
        try:
            await self._check_and_run(scope, receive, send)
        except ClientDisconnected:
            raise
        except Exception:
            log.exception("the request failed", extra={"request_id": context.request_id})
            if context.status:
                raise
            await internal_error()(scope, receive, send)

    async def _check_and_run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that a check refuses; run the application for any other."""
        context = request_context(scope)
        if context.path == "*":  # `OPTIONS *` (RFC 9110, 9.3.7)
            await Response(headers={"Allow": METHODS})(scope, receive, send)
            return
        try:
            self._authenticator.check(context.path, context.headers)
            slot = context.model.admission.admit(
                PRIORITY_BY_PATH.get(context.path),
                announced_bytes(context.headers),
                context.loop_lag_seconds,
            )
            body = await self._read_body(context, receive)
        except (RequestError, Unavailable) as error:
            await service_error(error)(scope, receive, send)
            return
        if not is_utf_8(body):
            message = "the body is not JSON, or not UTF-8"
            await envelope(400, "invalid_json", message)(scope, receive, send)
            return
        slot.body_bytes = len(body)
        work = self._run(scope, replay(body), send, slot)
        await cancel_on_disconnect(work, context, receive)

    async def _read_body(self, context: RequestContext, receive: Receive) -> bytes:
        """Return the unpacked body. Raise UnsupportedEncoding, DamagedBody, BodyTooLarge,
        BodyTooSlow, or ClientDisconnected.
        """
        limit, seconds = self._settings.max_body_bytes, self._settings.client_timeout
        is_gzip = check_encoding(context.headers)
        body = await read_body(receive, context.headers, limit, seconds)
        return await unpack(body, limit) if is_gzip else body

    async def _run(
        self, scope: Scope, receive: Receive, send: Send, slot: AbstractAsyncContextManager[None]
    ) -> None:
        """Run the application in its slot, for which a bulk request waits."""
        try:
            async with slot:
                await self._app(scope, receive, send)
        except (Overloaded, DeadlineExceeded) as error:  # while it waited for its slot
            await service_error(error)(scope, receive, send)

    def _record(self, scope: Scope, context: RequestContext) -> None:
        """Count the request in the metrics, and log a line."""
        seconds = time.perf_counter() - context.scheduled_at
        route, status = _route_pattern(scope), str(context.status)
        if (route, status) not in self._route_metrics:  # a look-up by labels costs more than this
            self._route_metrics[route, status] = (
                self._metrics.requests.labels(route, status),
                self._metrics.request_seconds.labels(route),
            )
        requests, request_seconds = self._route_metrics[route, status]
        requests.inc()
        request_seconds.observe(seconds)
        if context.error_code is not None:
            self._metrics.rejected.labels(context.error_code).inc()
        if log.isEnabledFor(logging.INFO):
            fields = {
                "method": context.method,
                "route": route,
                "status": context.status,
                "tokens": context.tokens,
                "milliseconds": round(seconds * 1e3, 2),
                "request_id": context.request_id,
            }
            log.info(" ".join(map(str, fields.values())), extra=fields)


def _with_cors(app: ASGIApp, origins: list[str]) -> ASGIApp:
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "HEAD", "POST"],
        allow_headers=["Authorization", "Content-Encoding", "Content-Type", "X-Request-Id"],
        expose_headers=["X-Request-Id", "Retry-After"],
    )


def _route_pattern(scope: Scope) -> str:
    """Return the pattern of the route. All unknown paths count as `unmatched`, so that a scanner
    adds no label values.
    """
    path: str = scope["path"]
    fallback = path if path in PRIORITY_BY_PATH else "unmatched"  # refused before routing
    if scope["method"] == "OPTIONS":
        fallback = "preflight"
    pattern: str = getattr(scope.get("route"), "path", fallback)
    return pattern
