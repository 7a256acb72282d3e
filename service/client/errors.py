"""Everything that a call can raise, by who can do something about it.

TiedlmError               `status`, `code`, `param`, `message`, `request_id`
├── NoAnswer              nothing came back: refused, reset, too late; no status, no code
├── RequestRefused        4xx, the caller's to mend; `param` names the field
│   ├── Unauthorized      401
│   └── InvalidState      the handle is not of this server and bundle: begin from the text again
├── Unavailable           429 or 503, not now; `retry_after_seconds` says when
└── ServerFailed          500, or an answer that is not the service's (a proxy's page, say)
    └── DeadlineExceeded  504, it waited too long in the queue

What cannot be sent at all (a NaN, half a surrogate pair) is Python's ValueError.
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


class NoAnswer(TiedlmError):
    pass


class RequestRefused(TiedlmError):
    pass


class Unauthorized(RequestRefused):
    pass


class InvalidState(RequestRefused):
    pass


class Unavailable(TiedlmError):
    pass


class ServerFailed(TiedlmError):
    pass


class DeadlineExceeded(ServerFailed):
    pass


CODES: dict[str, type[TiedlmError]] = {"invalid_state": InvalidState}
STATUSES: dict[int, type[TiedlmError]] = {
    401: Unauthorized,
    429: Unavailable,
    503: Unavailable,
    504: DeadlineExceeded,
}


def error_of(
    status: int, content: Any, request_id: str | None, retry_after_seconds: float | None
) -> TiedlmError:
    """The error that an answer other than 200 means; `content` is its JSON, or None."""
    envelope = content.get("error") if isinstance(content, Mapping) else None
    said: Mapping[str, Any] = envelope if isinstance(envelope, Mapping) else {}
    code = said.get("code")
    kind = CODES.get(str(code)) or STATUSES.get(status)
    if kind is None:
        kind = RequestRefused if 400 <= status < 500 else ServerFailed
    return kind(
        said.get("message") or f"HTTP {status} without a word of the service",
        status=status,
        code=code,
        param=said.get("param"),
        request_id=request_id,
        retry_after_seconds=retry_after_seconds,
    )
