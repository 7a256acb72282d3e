"""Routes without dependency injection, because their bodies arrive thousands of times a second.

FastAPI solves the dependencies of a route at every request. For a route that takes one model and
answers a finished response that was a quarter of all the Python that a request cost; the
documentation, made from the same signature, stays FastAPI's.

Bodies of many values are parsed and checked away from the event loop. Lists are counted before.
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
from service.http.middleware import LANES
from service.http.schemas.body import RequestBody
from service.language_model import LanguageModel
from service.runtime.background_thread import SECONDS_PER_JSON_BYTE
from service.settings import Settings


class FastJsonRoute(APIRoute):
    """For endpoints `(request: SomeModel, model: Model)`; FastAPI handles all others."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint
        parameters = inspect.signature(endpoint).parameters
        if "request" not in parameters:
            return super().get_route_handler()
        body_type: type[RequestBody] = parameters["request"].annotation

        async def handle(request: Request) -> Response:
            require_json(request)
            model: LanguageModel = request.scope["model"]
            content = await request.body()

            def parsed() -> RequestBody:
                return _parse(content, body_type, model.settings)

            if is_quick(content):
                body = parsed()
            else:
                seconds = len(content) * SECONDS_PER_JSON_BYTE
                priority = LANES.get(self.path)
                body = await model.background_thread.run(parsed, seconds, priority=priority)
            answer: Response | BaseModel = await endpoint(body, model)
            if isinstance(answer, BaseModel):
                return Response(answer.model_dump_json(), media_type="application/json")
            return answer

        return handle


def require_json(request: Request) -> None:
    """Raises UnsupportedMediaType for a body that does not say that it is JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not re.fullmatch(r"application/.+\+json", kind):
        raise UnsupportedMediaType(
            "the body must be JSON; send the header Content-Type: application/json"
        )


def _parse(content: bytes, body_type: type[RequestBody], settings: Settings) -> RequestBody:
    """Raises RequestValidationError as FastAPI would, with the same locations; InputTooLong."""
    if not content:
        raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "empty"}])
    body = None
    try:
        body = parse(content, max_values(settings))
        check_lists(body, body_type.lists, settings)
        return body_type.model_validate(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        located = [{**e, "loc": ("body", *e["loc"])} for e in found]
        raise RequestValidationError(located, body=body) from None
    except json.JSONDecodeError as error:
        problem = {"type": "json_invalid", "loc": ("body", error.pos), "msg": error.msg}
        raise RequestValidationError([problem]) from None
    except (ValueError, RecursionError):  # numbers of thousands of digits, bottomless nesting
        raise HTTPException(400) from None
