"""The errors that a client raises, grouped by who can resolve them.

TiedlmError                `status`, `code`, `param`, `message`, `request_id`
├── NotSent                JSON cannot represent the request: NaN, a lone surrogate; a ValueError
├── ConnectionFailed       no response: refused, reset or timed out; no status and no code
├── BadRequest             4xx: change the request; `param` is the path of the field
│   ├── Unauthorized       401
│   └── InvalidState       another server or bundle made the state handle: send the text again
├── Unavailable            429 or 503: retry later, after `retry_after_seconds`
└── ServerError            500, or a response that is not from this service, or is too large
    └── DeadlineExceeded   504: the request waited too long in the queue

An argument of the wrong type raises Python's TypeError.

`NoAnswer`, `RequestRefused` and `ServerFailed` are the former names of ConnectionFailed, BadRequest
and ServerError. They are the same classes, so that `except NoAnswer` still works, and will be
removed in the version after 0.1.
"""

from collections.abc import Mapping
from typing import Any


class TiedlmError(Exception):
    """The base class. Fields that do not apply are None."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        labels = [str(label) for label in (self.status, self.code, self.param) if label is not None]
        labelled = f"{' '.join(labels)}: {self.message}" if labels else self.message
        return f"{labelled} [request {self.request_id}]" if self.request_id else labelled


class NotSent(TiedlmError, ValueError):
    """The request cannot be represented as JSON, or the address or key is invalid."""


class ConnectionFailed(TiedlmError):
    """There was no response."""


class BadRequest(TiedlmError):
    """The service rejected the request (4xx)."""


class Unauthorized(BadRequest):
    """The API key is missing or wrong (401)."""


class InvalidState(BadRequest):
    """The state handle was made by another server or bundle, or was changed."""


class Unavailable(TiedlmError):
    """The service is overloaded, starting or draining (429, 503)."""


class ServerError(TiedlmError):
    """The service failed, or the response does not come from this service."""


class DeadlineExceeded(ServerError):
    """The request waited too long in the queue (504)."""


# Former names.
NoAnswer = ConnectionFailed
RequestRefused = BadRequest
ServerFailed = ServerError

# The longest message that is kept, because any program may have sent it.
MAX_CHARACTERS = 2000
CODES: dict[str, type[TiedlmError]] = {"invalid_state": InvalidState}
STATUSES: dict[int, type[TiedlmError]] = {
    401: Unauthorized,
    429: Unavailable,
    503: Unavailable,
    504: DeadlineExceeded,
}


def error_from_response(
    status: int,
    content: Any,
    url: str,
    request_id: str | None,
    retry_after_seconds: float | None,
) -> TiedlmError:
    """Return the error for a status other than 200; `content` is the parsed JSON, or None."""
    envelope = content.get("error") if isinstance(content, Mapping) else None
    fields: Mapping[str, Any] = envelope if isinstance(envelope, Mapping) else {}
    code = printable(fields.get("code"))
    kind = CODES.get(code or "") or STATUSES.get(status)
    if kind is None:
        kind = BadRequest if 400 <= status < 500 else ServerError
    return kind(
        printable(fields.get("message")) or f"{url} returned HTTP {status} without a message",
        status=status,
        code=code,
        param=printable(fields.get("param")),
        request_id=request_id,
        retry_after_seconds=retry_after_seconds,
    )


def printable(value: Any) -> str | None:
    """Return a string of a response, truncated and encodable as UTF-8; None for other types."""
    if not isinstance(value, str):
        return None
    return value[:MAX_CHARACTERS].encode("utf-8", "replace").decode()
