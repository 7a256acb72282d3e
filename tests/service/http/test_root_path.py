"""A proxy publishes the service under a prefix: all routes work, and all keys are checked."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from pydantic import SecretStr
from starlette.types import Message

from service.http.app import create_app
from service.http.auth import Authenticator
from service.http.body.request_body import replay
from service.language_model import LanguageModel
from service.settings import Settings
from tests.support.api_client import ApiClient, error_json, ok_json
from tests.support.http_server import serve_with
from tests.support.proxy import proxied

PREFIX = "/models/lm"
KEY = "key-of-a-client-0123"
ADDRESSES = re.compile(r"""(?:href|src)="([^"#]+)"|url: '([^']+)'""")


@pytest.fixture(scope="module", params=[True, False], ids=["stripped", "kept"])
def public(request: pytest.FixtureRequest, model: LanguageModel) -> Iterator[str]:
    with (
        serve_with(model, root_path=PREFIX) as address,
        proxied(address, PREFIX, strips=request.param) as url,
    ):
        yield url


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=120, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("page", ["", "/", "/docs"])
def test_all_addresses_of_a_page_exist(http: httpx.Client, public: str, page: str) -> None:
    """Addresses are resolved by the browser's rule for relative ones."""
    shown = http.get(public + page)
    assert shown.status_code == 200
    named = [one or two for one, two in ADDRESSES.findall(shown.text)]
    assert len(named) >= 4
    for address in named:
        target = urljoin(str(shown.url), address)
        assert target.startswith(f"{public}/"), address
        assert http.get(target).status_code == 200, address


def test_the_documentation_redirects_under_the_prefix(http: httpx.Client, public: str) -> None:
    page = http.get(f"{public}/docs").text
    (address,) = re.findall("oauth2RedirectUrl: window.location.origin [+] '([^']+)'", page)
    assert address == f"{PREFIX}/docs/oauth2-redirect"
    assert http.get(f"{public}/docs/oauth2-redirect").status_code == 200


def test_imports_of_scripts_exist(http: httpx.Client, public: str) -> None:
    source = http.get(f"{public}/playground/main.js").text
    imported = re.findall(r'from "(\./[^"]+)"', source)
    assert imported
    for name in imported:
        assert http.get(urljoin(f"{public}/playground/main.js", name)).status_code == 200


def test_the_document_names_the_prefix(http: httpx.Client, public: str) -> None:
    document = http.get(f"{public}/openapi.json").json()
    assert document["servers"] == [{"url": PREFIX}]
    assert "/score" in document["paths"]


def test_routes_respond_as_without_a_prefix(
    http: httpx.Client, public: str, api: ApiClient
) -> None:
    found = ok_json(http.post(f"{public}/score", json={"text": "The old river"}))
    assert found == api.score(text="The old river")
    assert http.get(f"{public}/v1/models/tiedlm").json()["id"] == "tiedlm"
    error_json(http.get(f"{public}/nowhere"), 404, "not_found")
    error_json(http.get(f"{public}/score"), 405, "method_not_allowed")


def test_metrics_name_routes_without_the_prefix(http: httpx.Client, public: str) -> None:
    http.post(f"{public}/score", json={"text": "a"})
    page = http.get(f"{public}/metrics").text
    assert 'tiedlm_requests_total{route="/score",status="200"}' in page
    assert PREFIX not in page


def test_without_a_prefix_the_document_names_no_server(api: ApiClient) -> None:
    assert "servers" not in api.http.get("/openapi.json").json()


@pytest.mark.parametrize("strips", [True, False])
def test_the_prefix_bypasses_no_key(
    model: LanguageModel, http: httpx.Client, tmp_path: Path, strips: bool
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    with (
        serve_with(model, root_path=PREFIX, api_keys_file=keys, admin_keys_file=keys) as address,
        proxied(address, PREFIX, strips=strips) as url,
    ):
        for method, route in (("POST", "/score"), ("GET", "/info"), ("POST", "/admin/reload")):
            error_json(http.request(method, url + route), 401, "unauthorized")
            error_json(http.request(method, f"{url}{PREFIX}{route}"), 401, "unauthorized")
        for route in ("/", "/docs", "/health/ready", "/playground/main.js"):
            assert http.get(url + route).status_code == 200, route
        allowed = {"Authorization": f"Bearer {KEY}"}
        assert http.get(f"{url}/info", headers=allowed).status_code == 200


@pytest.mark.parametrize("kept", [True, False])
def test_the_root_path_of_the_server_is_used(model: LanguageModel, kept: bool) -> None:
    """Ray Serve puts it into the scope, with the whole path or the path without the prefix."""
    app = create_app(model, Authenticator(Settings(api_keys=SecretStr(KEY))))

    async def asked(path: str, **headers: str) -> int:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": f"{PREFIX}{path}" if kept else path,
            "root_path": PREFIX,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await app(scope, replay(b""), send)
        return int(sent[0]["status"])

    async def live() -> None:
        assert await asked("/info") == 401
        assert await asked("/info", authorization=f"Bearer {KEY}") == 200
        assert await asked("/health/ready") == 200
        assert await asked("/static-offline-docs/swagger-ui.css") == 200
        assert await asked("/admin/reload") == 403

    asyncio.run(live())


@pytest.mark.parametrize(
    ("given", "prefix"),
    [("", ""), ("/", ""), ("lm", "/lm"), ("/lm/", "/lm"), ("/a//b-c_d.e~1/", "/a/b-c_d.e~1")],
)
def test_a_prefix_is_normalised(given: str, prefix: str) -> None:
    assert Settings(root_path=given).root_path == prefix


@pytest.mark.parametrize(
    "given", ["http://a/b", '/a"b', "/a b", "/é", "/a?b", "/<script>", "/a%2F"]
)
def test_an_invalid_prefix_is_rejected(given: str) -> None:
    with pytest.raises(ValueError, match="letters"):
        Settings(root_path=given)
