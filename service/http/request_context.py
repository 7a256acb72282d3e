"""One request and its answer on the way out."""

import re
import uuid

from starlette.datastructures import Headers
from starlette.types import Message, Scope, Send

RawHeaders = list[tuple[bytes, bytes]]

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
SECURITY: RawHeaders = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
# Pages bring their own.
NO_PAGE = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class RequestContext:
    def __init__(self, scope: Scope, send: Send, closing: bool) -> None:
        """`closing` asks the client not to use the connection again."""
        self.headers = Headers(scope=scope)
        self.method: str = scope["method"]
        self.request_id = _request_id(self.headers)
        self.status = 0
        self.answered = False
        self._send = send
        self._closing = closing

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._completed(list(message.get("headers", ())))
        elif not message.get("more_body", False):
            self.answered = True
        if self.method == "HEAD" and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    def _completed(self, headers: RawHeaders) -> RawHeaders:
        """Names are in small letters, as ASGI has them."""
        given = dict(headers)
        headers.append((b"x-request-id", self.request_id.encode()))
        headers += [header for header in SECURITY if header[0] not in given]
        if not given.get(b"content-type", b"").startswith(b"text/html") and NO_PAGE[0] not in given:
            headers.append(NO_PAGE)
        if self._closing:
            headers.append((b"connection", b"close"))
        return headers


def refusal_headers() -> RawHeaders:
    """Of an answer to what is no request: a new id, and the same protection."""
    return [(b"x-request-id", uuid.uuid4().hex.encode()), *SECURITY, NO_PAGE]


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
