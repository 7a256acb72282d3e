"""Plain-text errors of Starlette become error envelopes."""

from collections.abc import Iterator

import httpx
import pytest

from service.language_model import LanguageModel
from tests.support.api_client import ApiClient, error_json
from tests.support.http_server import http_client_for

FILES = ["/static-offline-docs/swagger-ui.css", "/static-offline-docs/favicon.png"]
PAGE = "https://pages.example"


@pytest.fixture(scope="module")
def open_client(model: LanguageModel) -> Iterator[httpx.Client]:
    """A client of a server that allows one page."""
    with http_client_for(model, cors_origins=[PAGE]) as client:
        yield client


@pytest.mark.parametrize("route", FILES)
@pytest.mark.parametrize(
    "given", ["bytes=a-b", "bytes", "lines=1-2", "bytes=5-2", "bytes=1-2-3", "nonsense"]
)
def test_an_invalid_range_is_rejected(api: ApiClient, route: str, given: str) -> None:
    response = api.http.get(route, headers={"Range": given})
    assert "Range" in error_json(response, 400, "invalid_request")["message"]


@pytest.mark.parametrize("route", FILES)
def test_a_range_beyond_the_file_is_rejected(api: ApiClient, route: str) -> None:
    size = len(api.http.get(route).content)
    response = api.http.get(route, headers={"Range": f"bytes={size}-"})
    error_json(response, 416, "range_not_satisfiable")
    assert response.headers["Content-Range"] == f"bytes */{size}"


def test_a_range_of_a_file_is_served(api: ApiClient) -> None:
    whole = api.http.get(FILES[0]).content
    part = api.http.get(FILES[0], headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, whole[2:6])


@pytest.mark.parametrize("route", ["/", "/docs", "/openapi.json", "/playground/main.js", "/info"])
def test_other_routes_ignore_ranges(api: ApiClient, route: str) -> None:
    """RFC 9110, section 14.2: a server may ignore the header."""
    assert api.http.get(route, headers={"Range": "bytes=a-b"}).status_code == 200


@pytest.mark.parametrize("route", ["/static-offline-docs/nowhere.js", "/static-offline-docs/"])
def test_a_missing_file_is_404(api: ApiClient, route: str) -> None:
    error_json(api.http.get(route), 404, "not_found")


def test_a_post_to_a_file_is_405(api: ApiClient) -> None:
    error_json(api.http.post(FILES[0]), 405, "method_not_allowed")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"},
        {"Origin": PAGE, "Access-Control-Request-Method": "DELETE"},
        {
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "X-Other",
        },
    ],
)
def test_a_foreign_preflight_is_rejected(
    open_client: httpx.Client, headers: dict[str, str]
) -> None:
    response = open_client.options("/score", headers=headers)
    assert "--cors-origins" in error_json(response, 400, "invalid_request")["message"]
    allowed = response.headers.get("Access-Control-Allow-Origin")
    assert allowed == (PAGE if headers["Origin"] == PAGE else None)


def test_an_allowed_preflight_succeeds(open_client: httpx.Client) -> None:
    headers = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "Content-Type, Content-Encoding",
    }
    response = open_client.options("/score", headers=headers)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == PAGE


def test_plain_errors_are_counted_by_code(api: ApiClient) -> None:
    api.http.get(FILES[0], headers={"Range": "bytes=999999999-"})
    page = api.http.get("/metrics").text
    assert 'tiedlm_rejected_total{code="range_not_satisfiable"}' in page
