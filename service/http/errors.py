"""Errors as clients see them: the one table from error to status, and the one envelope."""

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    NotReady,
    Overloaded,
    RequestError,
    ServiceError,
    Unavailable,
)

STATUS: dict[type[ServiceError], int] = {
    RequestError: 422,
    BodyTooLarge: 413,
    Overloaded: 429,
    NotReady: 503,
    DeadlineExceeded: 504,
}
HTTP_CODES = {400: "invalid_json", 404: "not_found", 405: "method_not_allowed"}
TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class ErrorResponse(Response):
    """Leaves its code in the scope, for the metrics."""

    media_type = "application/json"

    def __init__(
        self, content: bytes, status: int, headers: dict[str, str] | None, code: str
    ) -> None:
        super().__init__(content, status, headers)
        self._code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["error_code"] = self._code
        await super().__call__(scope, receive, send)


def envelope(
    status: int,
    code: str,
    message: str,
    param: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """The shape that OpenAI's clients read, on every route."""
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    content = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return ErrorResponse(orjson.dumps(content), status, headers, code)


def service_error(error: ServiceError) -> Response:
    """The answer to an error of ours; what is in no row of the table is a 500."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            break
    else:
        return internal_error()
    headers = None
    if isinstance(error, Unavailable):
        headers = {"Retry-After": str(error.retry_after_seconds)}
    return envelope(STATUS[kind], error.code, error.message, error.param, headers)


def internal_error() -> Response:
    message = "an internal error; the log has its details under the request id"
    return envelope(500, "internal", message)
