"""Error responses: the table from error class to HTTP status, and the JSON envelope."""

from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.errors import (
    BodyTooLarge,
    BodyTooSlow,
    DamagedBody,
    DeadlineExceeded,
    Draining,
    Forbidden,
    ModelNotFound,
    NotReady,
    Overloaded,
    ReloadFailed,
    RequestError,
    ServiceError,
    Unauthorized,
    Unavailable,
    UnsupportedEncoding,
    UnsupportedMediaType,
)
from service.http.request_context import request_context

STATUS: dict[type[ServiceError], int] = {
    RequestError: 422,
    DamagedBody: 400,
    Unauthorized: 401,
    Forbidden: 403,
    BodyTooSlow: 408,
    ReloadFailed: 409,
    BodyTooLarge: 413,
    ModelNotFound: 404,
    UnsupportedMediaType: 415,
    Overloaded: 429,
    NotReady: 503,
    Draining: 503,
    DeadlineExceeded: 504,
}
HTTP_CODES = {
    400: "invalid_json",
    404: "not_found",
    405: "method_not_allowed",
    416: "range_not_satisfiable",
}
INTERNAL = "internal error; the log has its details under the request id"
TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ErrorResponse(Response):
    """An error response, which sets `error_code` of the request's context for the metrics."""

    media_type = "application/json"

    def __init__(
        self, content: bytes, status: int, headers: dict[str, str] | None, code: str
    ) -> None:
        super().__init__(content, status, headers)
        self._code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_context(scope).error_code = self._code
        await super().__call__(scope, receive, send)


def envelope(
    status: int,
    code: str,
    message: str,
    param: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return an error response in the envelope that OpenAI's clients read."""
    content = _content(status, code, message, param)
    return ErrorResponse(orjson.dumps(content), status, headers, code)


def _content(status: int, code: str, message: str, param: str | None) -> dict[str, Any]:
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def service_error(error: ServiceError) -> Response:
    """Return the response for a ServiceError; classes missing from STATUS become 500."""
    status = _status(error)
    if status == 500:
        return internal_error()
    headers = None
    if isinstance(error, Unavailable):
        headers = {"Retry-After": str(error.retry_after_seconds)}
    if isinstance(error, Unauthorized):
        headers = {"WWW-Authenticate": "Bearer"}
    if isinstance(error, UnsupportedEncoding):
        headers = {"Accept-Encoding": "gzip, identity"}  # RFC 9110, section 12.5.3
    if isinstance(error, BodyTooLarge | BodyTooSlow):
        headers = {"Connection": "close"}  # because the rest of the body is not read
    return envelope(status, error.code, error.message, error.param, headers)


def error_content(error: Exception) -> dict[str, Any]:
    """Return the envelope of an error that occurs after the status was sent."""
    status = _status(error)
    if status == 500 or not isinstance(error, ServiceError):
        return _content(500, "internal", INTERNAL, None)
    return _content(status, error.code, error.message, error.param)


def internal_error() -> Response:
    return envelope(500, "internal", INTERNAL)


def _status(error: Exception) -> int:
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
