"""Everything that can go wrong, one class a cause.

ServiceError                  a message for people: what was wrong, where, what is allowed
├── RequestError              the caller's to mend; `param` names the field
│   ├── InvalidRequest
│   ├── InputTooLong
│   ├── UnknownToken
│   ├── InvalidState
│   ├── ModelNotFound
│   ├── UnsupportedMediaType
│   │   └── UnsupportedEncoding
│   ├── DamagedBody           what was to be unpacked is not whole
│   ├── BodyTooLarge
│   ├── BodyTooSlow
│   ├── Unauthorized
│   ├── Forbidden
│   └── ReloadFailed          the bundle that was to be served next is none; the old one stays
├── Unavailable               not now; `retry_after_seconds` says when
│   ├── Overloaded
│   ├── NotReady
│   └── Draining
├── DeadlineExceeded          it waited too long for its first run
├── StartError                the service does not start: one line, exit code 1
│   └── BundleError
├── JobError                  a bulk job stops: one line, exit code 1
└── OutputError               an output is an input, or already exists: one line, exit code 1

`code` is the machine-readable name of each error in the error envelope. `service.http.errors` alone
maps errors to HTTP statuses. No message holds a stack trace or the text that was sent. Only a
StartError, a JobError or an OutputError may name a path, and `service.http.model_registry` removes
the path from the response of `/admin/reload`.
"""

import math


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
    """A content coding that the service does not unpack."""


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
        """To come again after so many seconds: whole ones, from 1 to a minute."""
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
