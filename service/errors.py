"""Errors: one class for each cause.

ServiceError                  its message states what is wrong, where, and what is allowed
├── RequestError              the request is wrong; `param` names the field
│   ├── InvalidRequest
│   ├── InputTooLong
│   ├── UnknownToken
│   ├── InvalidState
│   ├── ModelNotFound
│   ├── UnsupportedMediaType
│   │   └── UnsupportedEncoding
│   ├── DamagedBody           a compressed body is damaged or incomplete
│   ├── BodyTooLarge
│   ├── BodyTooSlow
│   ├── Unauthorized
│   ├── Forbidden
│   └── ReloadFailed          the new bundle cannot be loaded; the old one stays
├── Unavailable               retry after `retry_after_seconds`
│   ├── Overloaded
│   ├── NotReady
│   └── Draining
├── DeadlineExceeded          the request waited too long for its first batch
├── StartError                the service cannot start: one line, exit code 1
│   └── BundleError
├── JobError                  a bulk job stops: one line, exit code 1
└── OutputError               an output is an input, or exists already: one line, exit code 1

`code` is the error's code in responses; `service.http.errors` maps classes to HTTP statuses. No
message holds a stack trace or text of a request. Only a StartError, a JobError or an OutputError
may name a path, and `service.http.model_registry` removes it from the response of `/admin/reload`.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """A wrong value: the names and indices that lead to it, and a sentence about it."""

    location: tuple[str | int, ...]
    message: str

    @property
    def place(self) -> str:
        return ".".join(map(str, self.location)) or "the document"


def first_problem(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """Return the first of pydantic's `errors()`, of which there is at least one."""
    first = errors[0]
    message = re.sub("^(Value|Assertion) error, ", "", first["msg"])
    return Problem(tuple(first["loc"]), message)


class ServiceError(Exception):
    code = "internal"

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class RequestError(ServiceError):
    pass


class InvalidRequest(RequestError):
    code = "invalid_request"


class InputTooLong(RequestError):
    code = "input_too_long"


class UnknownToken(RequestError):
    code = "unknown_token"


class InvalidState(RequestError):
    code = "invalid_state"


class ModelNotFound(RequestError):
    code = "model_not_found"


class UnsupportedMediaType(RequestError):
    code = "unsupported_media_type"


class UnsupportedEncoding(UnsupportedMediaType):
    """A content encoding that the service does not support."""


class DamagedBody(RequestError):
    code = "invalid_json"


class BodyTooLarge(RequestError):
    code = "body_too_large"


class BodyTooSlow(RequestError):
    code = "body_too_slow"


class Unauthorized(RequestError):
    code = "unauthorized"


class Forbidden(RequestError):
    code = "forbidden"


class ReloadFailed(RequestError):
    code = "reload_failed"


class Unavailable(ServiceError):
    def __init__(self, message: str, seconds: float = 1) -> None:
        """Round `seconds`, after which to retry, up to whole ones from 1 to 60."""
        super().__init__(message)
        self.retry_after_seconds = max(1, min(60, math.ceil(seconds)))


class Overloaded(Unavailable):
    code = "overloaded"


class NotReady(Unavailable):
    code = "not_ready"


class Draining(Unavailable):
    code = "draining"


class DeadlineExceeded(ServiceError):
    code = "deadline_exceeded"


class StartError(ServiceError):
    pass


class BundleError(StartError):
    pass


class JobError(ServiceError):
    pass


class OutputError(ServiceError):
    pass
