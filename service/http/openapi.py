"""Tables of the responses in the OpenAPI document: the errors of each kind of route.

A router takes a table as its `responses`. Its 422 keeps FastAPI's own validation error out of the
document.
"""

from typing import Any

from service.http.schema_types import ErrorEnvelope

Responses = dict[int | str, dict[str, Any]]

RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "schema": {"type": "integer", "minimum": 1},
    }
}


def _error(description: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    documented: dict[str, Any] = {"model": ErrorEnvelope, "description": description}
    return documented if headers is None else {**documented, "headers": headers}


COMMON_ERRORS: Responses = {
    401: _error("`unauthorized`: this server wants a key, `Authorization: Bearer`."),
    408: _error("`body_too_slow`: the body did not come within `client_timeout`."),
    413: _error("`body_too_large`: over `max_body_bytes`; refused while reading."),
    500: _error("`internal`: the log has the details under the request id."),
    503: _error("`not_ready` or `draining`.", RETRY_AFTER),
}
RELOAD_ERRORS: Responses = {
    **COMMON_ERRORS,
    403: _error("`forbidden`: this server has no admin keys."),
    409: _error("`reload_failed`: the new bundle is none; the old one is still served."),
}
VALIDATION_ERRORS: Responses = {
    422: _error(
        "`invalid_request`, `input_too_long`, `unknown_token` or `invalid_state`; "
        "`param` names the field."
    )
}
INFERENCE_ERRORS: Responses = {
    **COMMON_ERRORS,
    **VALIDATION_ERRORS,
    400: _error("`invalid_json`: the body is not JSON, not UTF-8, or damaged gzip."),
    415: _error(
        "`unsupported_media_type`: the body must be `application/json`, as it is or as gzip."
    ),
    429: _error("`overloaded`: the queue is full.", RETRY_AFTER),
    504: _error("`deadline_exceeded`: the request waited longer than `request_timeout`."),
}
MODEL_NOT_FOUND: Responses = {404: _error("`model_not_found`: another model is served.")}
SSE_RESPONSE: Responses = {
    200: {
        "description": "The choices; with `stream: true` as server-sent events, one for each piece "
        "of text, the last of them `[DONE]`, or an error if it failed on the way. With "
        "`stream_options.include_usage` the one before `[DONE]` holds the usage.",
        "content": {
            "text/event-stream": {
                "itemSchema": {
                    "type": "object",
                    "properties": {
                        "data": {
                            "type": "string",
                            "description": "What is new of a choice as JSON, or [DONE].",
                        }
                    },
                    "required": ["data"],
                },
                "example": 'data: {"choices": [{"index": 0, "text": " old", …}], …}\n\n'
                "data: [DONE]\n\n",
            }
        },
    }
}
PLAIN_TEXT_RESPONSE: Responses = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
