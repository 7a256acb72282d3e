"""Everything that a call can raise, by who can do something about it.

TiedlmError               `status`, `code`, `param`, `message`, `request_id`
├── NotSent               the request cannot be written: a NaN, a lone surrogate; a ValueError too
├── ConnectionFailed              nothing came back: refused, reset, too late; no status, no code
├── BadRequest        4xx, the caller's to mend; `param` names the field
│   ├── Unauthorized      401
│   └── InvalidState      the handle is not of this server and bundle: begin from the text again
├── Unavailable           429 or 503, not now; `retry_after_seconds` says when
└── ServerError          500, or an answer that is not the service's: a proxy's page, too large
    └── DeadlineExceeded  504, it waited too long in the queue

An argument of the wrong type is Python's TypeError.
"""

from collections.abc import Mapping
from typing import Any


class TiedlmError(Exception):
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
        words = [str(word) for word in (self.status, self.code, self.param) if word is not None]
        named = f"{' '.join(words)}: {self.message}" if words else self.message
        return f"{named} [request {self.request_id}]" if self.request_id else named


class NotSent(TiedlmError, ValueError):
    pass


class ConnectionFailed(TiedlmError):
    pass


class BadRequest(TiedlmError):
    pass


class Unauthorized(BadRequest):
    pass


class InvalidState(BadRequest):
    pass


class Unavailable(TiedlmError):
    pass


class ServerError(TiedlmError):
    pass


class DeadlineExceeded(ServerError):
    pass


MAX_CHARACTERS = 2000  # of a message of whoever answers
CODES: dict[str, type[TiedlmError]] = {"invalid_state": InvalidState}
STATUSES: dict[int, type[TiedlmError]] = {
    401: Unauthorized,
    429: Unavailable,
    503: Unavailable,
    504: DeadlineExceeded,
}


def error_of(
    status: int,
    content: Any,
    address: str,
    request_id: str | None,
    retry_after_seconds: float | None,
) -> TiedlmError:
    """Return the error that an answer other than 200 means; `content` is its JSON, or None."""
    envelope = content.get("error") if isinstance(content, Mapping) else None
    said: Mapping[str, Any] = envelope if isinstance(envelope, Mapping) else {}
    code = readable(said.get("code"))
    kind = CODES.get(code or "") or STATUSES.get(status)
    if kind is None:
        kind = BadRequest if 400 <= status < 500 else ServerError
    return kind(
        readable(said.get("message")) or f"{address} answered HTTP {status} without a message",
        status=status,
        code=code,
        param=readable(said.get("param")),
        request_id=request_id,
        retry_after_seconds=retry_after_seconds,
    )


def readable(said: Any) -> str | None:
    """Return a string of an answer, cut to what can be printed; None for what is no string."""
    if not isinstance(said, str):
        return None
    return said[:MAX_CHARACTERS].encode("utf-8", "replace").decode()
