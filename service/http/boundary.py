"""What holds for every request before a route sees it and after: id, size, type, and the log line.

Plain ASGI: the whole body is read here, up to the limit, so that nothing larger reaches a parser.
"""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BodyTooLarge
from service.http.errors import envelope, internal_error, service_error

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

log = logging.getLogger(__name__)


class Boundary:
    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        status = 0

        async def tagged_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        try:
            await self._answer(scope, receive, tagged_send, headers)
        except Exception:
            log.exception("request %s failed", request_id)
            if status:
                raise  # half an answer is out: the connection must break, not end as if whole
            await internal_error()(scope, receive, tagged_send)
        log.info(
            "%s %s %d %.1f ms %s",
            scope["method"],
            _route(scope),
            status,
            (time.perf_counter() - begun) * 1e3,
            request_id,
        )

    async def _answer(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        if scope["method"] == "POST" and not _is_json(headers):
            message = "the body must be JSON; send the header Content-Type: application/json"
            await envelope(415, "unsupported_media_type", message)(scope, receive, send)
            return
        try:
            body = await self._read(receive, headers)
        except BodyTooLarge as error:
            response = service_error(error)
            response.headers["Connection"] = "close"
            await response(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive, headers: Headers) -> bytes | None:
        """The body, or None when the client left. Raises BodyTooLarge as soon as that is known."""
        limit = self._max_body_bytes
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise BodyTooLarge(f"the body has {announced} bytes; at most {limit} are allowed")
        chunks, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > limit:
                raise BodyTooLarge(f"the body has more than {limit} bytes, which is the limit")
            if not message.get("more_body", False):
                return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _is_json(headers: Headers) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def _route(scope: Scope) -> str:
    """The route's pattern: paths that match none are one name, whatever a scanner tries."""
    route = scope.get("route")
    return getattr(route, "path", "unmatched")
