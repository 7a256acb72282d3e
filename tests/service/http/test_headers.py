"""Security headers of every response, and CORS headers for pages of other sites."""

import re
import socket
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from service.language_model import LanguageModel
from tests.support.api_client import ApiClient
from tests.support.http_server import http_client_for

PAGE, STRANGER = "https://app.example.com", "https://other.example.com"
ROUTES = [
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/info"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/v1/models"),
    ("GET", "/tokenizer_info"),
    ("POST", "/score"),
    ("POST", "/next-token"),
    ("POST", "/rescore"),
    ("POST", "/v1/completions"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
    ("POST", "/admin/reload"),
    ("GET", "/nowhere"),
    ("DELETE", "/score"),
]


def check_protection(headers: httpx.Headers) -> None:
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    if not headers["Content-Type"].startswith("text/html"):
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_every_response_has_security_headers(api: ApiClient, method: str, route: str) -> None:
    headers = api.http.request(method, route).headers
    check_protection(headers)
    assert not [name for name in headers if name.lower().startswith("access-control-")]


def test_invalid_http_is_answered_with_an_envelope(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00 hello over TLS\r\n\r\n")
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"x-request-id: " in head.lower()
    assert b"nosniff" in head
    assert body.startswith(b'{"error":{')


@pytest.fixture(scope="module")
def open_to_a_page(model: LanguageModel) -> Iterator[httpx.Client]:
    with http_client_for(model, cors_origins=[PAGE]) as client:
        yield client


def preflight(client: httpx.Client, origin: str) -> httpx.Response:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return client.options("/score", headers=asked)


def test_no_foreign_page_is_allowed_by_default(api: ApiClient) -> None:
    asked = api.http.post("/score", json={"text": "a"}, headers={"Origin": PAGE})
    assert asked.status_code == 200
    for response in (asked, preflight(api.http, PAGE)):
        assert "Access-Control-Allow-Origin" not in response.headers


def test_a_configured_page_is_allowed(open_to_a_page: httpx.Client) -> None:
    allowed = preflight(open_to_a_page, PAGE)
    assert allowed.status_code == 200
    assert "authorization" in allowed.headers["Access-Control-Allow-Headers"].lower()
    for response in (
        allowed,
        open_to_a_page.post("/score", json={"text": "a"}, headers={"Origin": PAGE}),
        open_to_a_page.post("/score", json={}, headers={"Origin": PAGE}),
    ):
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize("origin", [PAGE, STRANGER])
def test_a_preflight_has_the_common_headers(open_to_a_page: httpx.Client, origin: str) -> None:
    def counted() -> float:
        page = open_to_a_page.get("/metrics").text
        found = re.findall(r'^tiedlm_requests_total\{route="preflight",.*\} (\S+)$', page, re.M)
        return sum(map(float, found))

    before = counted()
    response = preflight(open_to_a_page, origin)
    check_protection(response.headers)
    assert len(response.headers.get_list("X-Request-Id")) == 1
    assert counted() == before + 1
    asked = {"Origin": origin, "X-Request-Id": "mine"}
    again = open_to_a_page.post("/score", json={"text": "a"}, headers=asked)
    assert again.headers.get_list("X-Request-Id") == ["mine"]


def test_a_page_can_read_an_internal_error(
    open_to_a_page: httpx.Client, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LanguageModel, "score", None)
    refused = open_to_a_page.post("/score", json={"text": "a"}, headers={"Origin": PAGE})
    assert refused.status_code == 500
    assert refused.headers["Access-Control-Allow-Origin"] == PAGE
    check_protection(refused.headers)


def test_other_pages_are_not_allowed(open_to_a_page: httpx.Client) -> None:
    refused = preflight(open_to_a_page, STRANGER)
    assert refused.status_code == 400
    asked = open_to_a_page.post("/score", json={"text": "a"}, headers={"Origin": STRANGER})
    for response in (refused, asked):
        assert response.headers.get("Access-Control-Allow-Origin") is None


def test_a_page_can_read_an_authentication_error(model: LanguageModel) -> None:
    """A browser sends a preflight before a key, and must be able to read the error."""
    with http_client_for(model, cors_origins=[PAGE], api_keys=SecretStr("k" * 16)) as client:
        assert preflight(client, PAGE).status_code == 200
        refused = client.post("/score", json={"text": "a"}, headers={"Origin": PAGE})
        assert refused.status_code == 401
        assert refused.headers["Access-Control-Allow-Origin"] == PAGE
