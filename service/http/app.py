"""`create_app`: routes, the boundary and the errors put together around one language model."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.errors import ServiceError
from service.http.auth import Gate
from service.http.errors import HTTP_CODES, envelope, service_error
from service.http.middleware import RequestMiddleware
from service.http.model_registry import ModelRegistry
from service.http.native import routes as native
from service.http.openai import routes as openai
from service.http.operations import playground
from service.http.operations import routes as operations
from service.http.tracing import trace
from service.language_model import LanguageModel

# A field's path, but not all of a megabyte that was sent as a field's name.
LONGEST_PARAM = 200


def create_app(model: LanguageModel, gate: Gate | None = None) -> FastAPI:
    """An application that serves `model`, and closes what it serves last at its end. By default
    its gate is the one of the model's settings.

    Raises StartError for keys that are none, and for tracing without its packages.
    """
    settings = model.settings
    gate = gate or Gate(settings)
    models = ModelRegistry(model)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await models.close()

    app = FastAPIOffline(
        redoc_url=None,
        redirect_slashes=False,
        title="tiedlm",
        summary="Next-word distributions, cross-entropy and perplexity of a tied LSTM",
        version=version("tiedlm"),
        lifespan=lifespan,
    )
    app.state.models = models
    app.include_router(native.router)
    app.include_router(openai.router)
    app.include_router(operations.router)
    app.include_router(operations.admin_router)
    app.include_router(playground.router)
    app.add_middleware(RequestMiddleware, models=models, gate=gate)
    if settings.tracing:
        trace(app)
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    return app


async def _service_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return service_error(error)


async def _validation_error(_: Request, error: Exception) -> Response:
    """What pydantic found, in a sentence; `param` is the field's path, such as `texts.3`."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        position = first["loc"][-1]
        return envelope(400, "invalid_json", f"the body is not JSON, from character {position} on")
    path = _field(first, error.body)
    message = re.sub("^Value error, ", "", first["msg"])
    if first["type"] == "extra_forbidden":
        message = "no such field; the documentation at /docs lists them"
    elif first["type"] == "missing" and not path:
        message = "the body is empty; a JSON object is expected"
    param = ".".join(path)[:LONGEST_PARAM] or None
    return envelope(422, "invalid_request", message, param)


def _field(found: Mapping[str, Any], body: Any) -> list[str]:
    """The path of what pydantic found: of its parts those that lead somewhere in what was sent, for
    where a field may be of several types, pydantic puts names of types between. A field that is
    missing leads nowhere; its name is the last part.
    """
    where, *parts = found["loc"]
    if where != "body":
        return [str(part) for part in parts]
    last = [parts.pop()] if found["type"] == "missing" and parts else []
    path = []
    for part in parts:
        inside = part in body if isinstance(body, dict) else _is_index(part, body)
        if inside:
            path.append(part)
            body = body[part]
    return [str(part) for part in [*path, *last]]


def _is_index(part: int | str, body: Any) -> bool:
    return isinstance(part, int) and isinstance(body, list) and part < len(body)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTP_CODES.get(error.status_code, "invalid_request")
    headers = dict(error.headers or {})
    if "GET" in (allowed := headers.get("Allow", "")):
        headers["Allow"] = f"{allowed}, HEAD"
    message = {
        400: "the body is not JSON, or not UTF-8",
        404: "no such route; the documentation at /docs lists them",
        405: f"this route does not take {request.method}",
    }.get(error.status_code, str(error.detail))
    return envelope(error.status_code, code, message, headers=headers)
