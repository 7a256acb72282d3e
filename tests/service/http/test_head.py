"""`HEAD` answers what `GET` answers, without the body."""

import re
import socket

import httpx
import pytest

from tests.support.api_client import ApiClient, error_json
from tests.support.http_server import Address

ROUTES = [
    "/",
    "/playground/main.js",
    "/docs",
    "/openapi.json",
    "/static-offline-docs/swagger-ui.css",
    "/metrics",
    "/info",
    "/health/live",
    "/health/ready",
    "/v1/models",
    "/v1/models/tiedlm",
    "/tokenizer_info",
    "/nowhere",
    "/playground/nowhere.js",
    "/v1/models/nowhere",
]
CHANGING = ("x-request-id", "date")


def headers(response: httpx.Response) -> list[tuple[str, str]]:
    return [header for header in response.headers.items() if header[0] not in CHANGING]


@pytest.mark.parametrize("route", ROUTES)
def test_head_has_the_status_and_headers_of_get(api: ApiClient, route: str) -> None:
    got, asked = api.http.get(route), api.http.head(route)
    assert asked.status_code == got.status_code
    assert got.headers["Content-Length"] == str(len(got.content))
    if route == "/metrics":  # figures changed since: a line more, or some digits less
        assert abs(int(asked.headers["Content-Length"]) - len(got.content)) < len(got.content) / 10
        del asked.headers["Content-Length"], got.headers["Content-Length"]
    assert headers(asked) == headers(got)
    assert asked.content == b""


def test_head_leaves_nothing_on_the_connection(address: Address) -> None:
    """The client would read a body after the head as the next response."""
    ask = "{} /openapi.json HTTP/1.1\r\nHost: tests\r\n{}\r\n"
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall((ask.format("HEAD", "") * 2).encode())
        connection.sendall(ask.format("HEAD", "Connection: close\r\n").encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    heads = received.split(b"\r\n\r\n")
    assert len(heads) == 4
    assert heads[-1] == b""
    assert all(re.match(rb"HTTP/1.1 200 ", head) for head in heads[:-1])


def test_head_of_a_post_route_is_not_allowed(api: ApiClient) -> None:
    response = api.http.head("/score")
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    assert response.content == b""


def test_allowed_methods_of_a_page_name_head(api: ApiClient) -> None:
    response = api.http.delete("/info")
    error_json(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, HEAD"
