"""One request and its answer on the way out."""

import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
NO_PAGE = "default-src 'none'; frame-ancestors 'none'"  # pages bring their own


class Exchange:
    def __init__(self, scope: Scope, send: Send, closing: bool) -> None:
        """`closing` asks the client not to use the connection again."""
        self.headers = Headers(scope=scope)
        self.request_id = _request_id(self.headers)
        self.status = 0
        self.answered = False
        self._send = send
        self._closing = closing

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._add_headers(MutableHeaders(scope=message))
        elif not message.get("more_body", False):
            self.answered = True
        await self._send(message)

    def _add_headers(self, headers: MutableHeaders) -> None:
        headers["X-Request-Id"] = self.request_id
        for name, value in SECURITY.items():
            headers.setdefault(name, value)
        if not headers.get("content-type", "").startswith("text/html"):
            headers.setdefault("Content-Security-Policy", NO_PAGE)
        if self._closing:
            headers["Connection"] = "close"


def refusal_headers() -> list[tuple[bytes, bytes]]:
    """Of an answer to what is no request: a new id, and the same protection."""
    headers = {"X-Request-Id": uuid.uuid4().hex, **SECURITY, "Content-Security-Policy": NO_PAGE}
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
