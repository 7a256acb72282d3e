"""create_app: routes, middleware and error handlers around one language model."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.errors import ServiceError, first_problem
from service.http import docs_page
from service.http.auth import Authenticator
from service.http.errors import HTTP_CODES, envelope, service_error
from service.http.middleware import RequestMiddleware
from service.http.model_registry import ModelRegistry
from service.http.native import routes as native
from service.http.openai import routes as openai
from service.http.operations import playground
from service.http.operations import routes as operations
from service.http.tracing import enable_tracing
from service.language_model import LanguageModel

# Of a field's path in an error, because a client can send a megabyte as a field's name.
MAX_PARAM_CHARACTERS = 200


def create_app(model: LanguageModel, authenticator: Authenticator | None = None) -> FastAPI:
    """Return an application that serves `model`. At its end it closes its current model.

    The default authenticator has the keys of the model's settings. Raise StartError if a key is
    shorter than 16 characters or not ASCII, or if tracing lacks its packages.
    """
    settings = model.settings
    authenticator = authenticator or Authenticator(settings)
    models = ModelRegistry(model)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await models.close()

    app = FastAPIOffline(
        docs_url=None,  # `docs_page` replaces it
        redoc_url=None,
        redirect_slashes=False,
        title="tiedlm",
        summary="Next-word distributions, cross-entropy and perplexity of a tied LSTM",
        version=version("tiedlm"),
        lifespan=lifespan,
    )
    app.state.models = models
    app.include_router(docs_page.router)
    app.include_router(native.router)
    app.include_router(openai.router)
    app.include_router(operations.router)
    app.include_router(operations.admin_router)
    app.include_router(playground.router)
    app.add_middleware(RequestMiddleware, models=models, authenticator=authenticator)
    if settings.tracing:
        enable_tracing(app)
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    return app


async def _service_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return service_error(error)


async def _validation_error(_: Request, error: Exception) -> Response:
    """Return pydantic's first error; `param` is the path of its field, such as `texts.3`."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        position = first["loc"][-1]
        return envelope(400, "invalid_json", f"the body is not JSON, from character {position} on")
    path = _field_path(first, error.body)
    message = first_problem(error.errors()).message
    if first["type"] == "extra_forbidden":
        message = "unknown field; /docs lists all fields"
    elif first["type"] == "missing" and not path:
        message = "the body is empty; send a JSON object"
    param = ".".join(path)[:MAX_PARAM_CHARACTERS] or None
    return envelope(422, "invalid_request", message, param)


def _field_path(error: Mapping[str, Any], body: Any) -> list[str]:
    """Return the path of the field that an error of pydantic is about.

    If a field may have several types, pydantic puts names of types into its location. Only parts
    that lead to a value of the body are kept. A missing field leads to no value: its name is the
    last part.
    """
    source, *parts = error["loc"]
    if source != "body":
        return [str(part) for part in parts]
    missing = [parts.pop()] if error["type"] == "missing" and parts else []
    path = []
    for part in parts:
        exists = part in body if isinstance(body, dict) else _is_index(part, body)
        if exists:
            path.append(part)
            body = body[part]
    return [str(part) for part in [*path, *missing]]


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
        404: "unknown route; /docs lists all routes",
        405: f"{request.method} is not allowed on this route; /docs lists its methods",
    }.get(error.status_code, str(error.detail))
    return envelope(error.status_code, code, message, headers=headers)
