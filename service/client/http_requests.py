"""The HTTP requests that both clients send with httpx."""

from typing import Any

import httpx

from service.client.calls import Call
from service.client.errors import NotSent
from service.client.response_body import ACCEPTED_ENCODING


def default_headers(api_key: str | None) -> dict[str, str]:
    """Return the headers of every request.

    Raises TypeError or NotSent for an invalid `api_key`, without quoting it: httpx would quote it.
    """
    headers = {"Accept-Encoding": ACCEPTED_ENCODING}
    if api_key is None:
        return headers
    if not isinstance(api_key, str):
        raise TypeError(f"api_key is a {type(api_key).__name__}: pass a str")
    if not (api_key.isascii() and api_key.isprintable()):
        raise NotSent(
            "api_key contains a character that is not printable ASCII; remove it (often a newline "
            "at the end)"
        )
    return {**headers, "Authorization": f"Bearer {api_key}"}


def build_request(
    http: httpx.Client | httpx.AsyncClient,
    call: Call[Any],
    content: bytes | None,
    request_id: str,
) -> httpx.Request:
    """Return one attempt of `call`, whose body `content` is already encoded as JSON."""
    headers = {"X-Request-Id": request_id}
    if content is not None:
        headers["Content-Type"] = "application/json"
    return http.build_request(call.method, call.path, content=content, headers=headers)
