"""Refusals of the libraries below, which are plain text, in the one envelope: a `Range` that a file
does not have, a preflight of a page that may not call.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.errors import HTTP_CODES, envelope

PLAIN = "text/plain"
ADVICE = {
    "range": "the Range header does not fit this file; ask for bytes that it has, or for all of it",
    "access-control-request-method": "this page's origin is not allowed; add it to --cors-origins",
}


def with_error_envelope(app: ASGIApp) -> ASGIApp:
    """Return an application whose plain-text errors have the shape of all others."""

    async def enveloped(scope: Scope, receive: Receive, send: Send) -> None:
        refused: Message | None = None

        async def hold(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and _is_plain_error(message):
                refused = message
            elif refused is None:
                await send(message)

        await app(scope, receive, hold)
        if refused is not None:
            status: int = refused["status"]
            kept = MutableHeaders(raw=list(refused.get("headers", ())))
            del kept["content-type"], kept["content-length"]
            asked = Headers(scope=scope)
            advice = (text for header, text in ADVICE.items() if header in asked)
            message = next(advice, f"the request was refused with status {status}")
            code = "invalid_request" if status == 400 else HTTP_CODES.get(status, "invalid_request")
            answer = envelope(status, code, message, headers=dict(kept))
            await answer(scope, receive, send)

    return enveloped


def _is_plain_error(message: Message) -> bool:
    kind = Headers(raw=list(message.get("headers", ()))).get("content-type", "")
    return message["status"] >= 400 and kind.startswith(PLAIN)
