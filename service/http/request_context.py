"""The state of one request, which stands in its ASGI scope under one key."""

import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.types import Message, Scope, Send

from service.language_model import LanguageModel
from service.runtime.metrics import Metrics

RawHeaders = list[tuple[bytes, bytes]]

SCOPE_KEY = "tiedlm.request"
REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
SECURITY_HEADERS: RawHeaders = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
# HTML pages set their own policy.
CONTENT_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


@dataclass(slots=True, eq=False)
class RequestContext:
    """A request, the model that serves it, and what the metrics and the log record of it.

    The connection creates it when it schedules the request; the middleware begins it.
    """

    scheduled_at: float = field(default_factory=time.perf_counter)
    loop_lag_seconds: float = 0.0  # how late the event loop started the request
    method: str = ""  # as sent; the scope has GET for HEAD
    path: str = ""  # without the root path
    request_id: str = ""
    status: int = 0  # 0 before the response starts
    response_complete: bool = False
    error_code: str | None = None
    tokens: int = 0
    headers: Headers = field(init=False)
    metrics: Metrics = field(init=False)
    model: LanguageModel = field(init=False)

    def begin(self, scope: Scope, metrics: Metrics) -> None:
        """Take over method, path and headers of a scope whose root path is stripped."""
        self.metrics = metrics
        self.loop_lag_seconds = time.perf_counter() - self.scheduled_at
        self.method, self.path = scope["method"], scope["path"]
        self.headers = Headers(scope=scope)
        self.request_id = _request_id(self.headers)

    def record_tokens(self, tokens: int) -> None:
        """Count tokens that the request read or generated, for its log line."""
        self.tokens += tokens

    def respond_through(self, send: Send, *, close_connection: bool) -> Send:
        """Return a `send` that adds headers to the response and follows its progress.

        The body of a response to HEAD is dropped. With `close_connection` the client is asked to
        open a new connection.
        """

        async def send_response(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                headers = self._complete(list(message.get("headers", ())))
                if close_connection:
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            elif not message.get("more_body", False):
                self.response_complete = True
            if self.method == "HEAD" and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        return send_response

    def _complete(self, headers: RawHeaders) -> RawHeaders:
        """Add request id and security headers. ASGI sends header names in lower case."""
        present = dict(headers)
        headers.append((b"x-request-id", self.request_id.encode()))
        headers += [header for header in SECURITY_HEADERS if header[0] not in present]
        is_page = present.get(b"content-type", b"").startswith(b"text/html")
        if not is_page and CONTENT_POLICY[0] not in present:
            headers.append(CONTENT_POLICY)
        return headers


def request_context(scope: Scope) -> RequestContext:
    """Return the context of a request; create it if the server is not ours, as under Ray Serve."""
    context: RequestContext | None = scope.get(SCOPE_KEY)
    if context is None:
        context = scope[SCOPE_KEY] = RequestContext()
    return context


def refusal_headers() -> RawHeaders:
    """Return headers of a response to bytes that are not a request: a new id and security."""
    return [(b"x-request-id", uuid.uuid4().hex.encode()), *SECURITY_HEADERS, CONTENT_POLICY]


def _request_id(headers: Headers) -> str:
    """Return the client's request id if it is 1 to 128 visible ASCII characters, or a new one."""
    sent = headers.get("x-request-id", "")
    return sent if REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex


async def _current_context(request: Request) -> RequestContext:
    return request_context(request.scope)


async def _current_model(request: Request) -> LanguageModel:
    return request_context(request.scope).model


# Dependencies of routes.
Context = Annotated[RequestContext, Depends(_current_context)]
Model = Annotated[LanguageModel, Depends(_current_model)]
