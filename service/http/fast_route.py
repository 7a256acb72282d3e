"""FastJsonRoute: a route that calls its endpoint without FastAPI's dependency injection.

FastAPI resolves the dependencies of a route at every request. For a route that returns a finished
response this was a quarter of all the Python time of a request. FastAPI still makes the OpenAPI
document from the signature.
"""

import inspect
import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from service.errors import UnsupportedMediaType
from service.http.body.list_limits import check_lists, max_values
from service.http.body.request_json import is_quick, parse
from service.http.middleware import PRIORITY_BY_PATH
from service.http.request_context import request_context
from service.http.schema_types import RequestBody
from service.limits import ServerLimits
from service.runtime.background_thread import SECONDS_PER_JSON_BYTE


class FastJsonRoute(APIRoute):
    """A route of an endpoint `(request: SomeRequestBody, context: Context)`.

    The endpoint must name its body `request`; FastAPI itself serves any other endpoint. A body of
    many values is parsed and validated in the background thread.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint
        parameters = inspect.signature(endpoint).parameters
        if "request" not in parameters:
            return super().get_route_handler()
        body_type: type[RequestBody] = parameters["request"].annotation

        async def handle(request: Request) -> Response:
            require_json(request)
            context = request_context(request.scope)
            model = context.model
            content = await request.body()

            def parse_body() -> RequestBody:
                return _parse(content, body_type, model.limits)

            if is_quick(content):
                body = parse_body()
            else:
                seconds = len(content) * SECONDS_PER_JSON_BYTE
                priority = PRIORITY_BY_PATH.get(self.path)
                body = await model.run_in_background(parse_body, seconds, priority=priority)
            response: Response | BaseModel = await endpoint(body, context)
            if isinstance(response, BaseModel):
                return Response(response.model_dump_json(), media_type="application/json")
            return response

        return handle


def require_json(request: Request) -> None:
    """Raise UnsupportedMediaType unless the Content-Type is JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not re.fullmatch(r"application/.+\+json", kind):
        raise UnsupportedMediaType(
            "the body must be JSON; send the header Content-Type: application/json"
        )


def _parse(content: bytes, body_type: type[RequestBody], limits: ServerLimits) -> RequestBody:
    """Return the validated body.

    Raise RequestValidationError with FastAPI's locations; InputTooLong; HTTPException (400) for
    numbers of thousands of digits and for nesting that is too deep.
    """
    if not content:
        raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "empty"}])
    body = None
    try:
        body = parse(content, max_values(limits))
        check_lists(body, body_type.lists, limits)
        return body_type.model_validate(body)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
        located = [{**e, "loc": ("body", *e["loc"])} for e in errors]
        raise RequestValidationError(located, body=body) from None
    except json.JSONDecodeError as error:
        problem = {"type": "json_invalid", "loc": ("body", error.pos), "msg": error.msg}
        raise RequestValidationError([problem]) from None
    except (ValueError, RecursionError):
        raise HTTPException(400) from None
