"""with_error_envelope: plain-text errors of Starlette in the JSON envelope of all other errors.

Starlette sends plain text for a `Range` outside a file and for a preflight of a foreign page.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.errors import HTTP_CODES, envelope

# Messages by the request header that was rejected.
MESSAGES = {
    "range": "the Range header does not fit this file; send a range within it, or no Range header",
    "access-control-request-method": "this page's origin is not allowed; add it to --cors-origins",
}


def with_error_envelope(app: ASGIApp) -> ASGIApp:
    """Return an application whose plain-text errors are JSON envelopes."""

    async def with_envelope(scope: Scope, receive: Receive, send: Send) -> None:
        plain_error: Message | None = None

        async def hold_plain_error(message: Message) -> None:
            nonlocal plain_error
            if message["type"] == "http.response.start" and _is_plain_error(message):
                plain_error = message
            elif plain_error is None:
                await send(message)

        await app(scope, receive, hold_plain_error)
        if plain_error is not None:
            await _envelope_of(plain_error, scope)(scope, receive, send)

    return with_envelope


def _envelope_of(plain_error: Message, scope: Scope) -> Response:
    """Return the envelope for the start of a plain-text error; other headers are kept."""
    status: int = plain_error["status"]
    headers = MutableHeaders(raw=list(plain_error.get("headers", ())))
    del headers["content-type"], headers["content-length"]
    sent = Headers(scope=scope)
    messages = (text for header, text in MESSAGES.items() if header in sent)
    message = next(messages, f"the request was rejected with status {status}")
    code = "invalid_request" if status == 400 else HTTP_CODES.get(status, "invalid_request")
    return envelope(status, code, message, headers=dict(headers))


def _is_plain_error(message: Message) -> bool:
    kind = Headers(raw=list(message.get("headers", ()))).get("content-type", "")
    return message["status"] >= 400 and kind.startswith("text/plain")
