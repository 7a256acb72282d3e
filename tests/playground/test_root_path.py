"""The page and the API documentation behind a proxy that strips a prefix."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.playground.browser import SECONDS, Playground
from tests.playground.conftest import starter_model
from tests.support.http_server import serve_with
from tests.support.proxy import proxied

PREFIX = "/models/lm"


@pytest.fixture(scope="module")
def public() -> Iterator[str]:
    with serve_with(starter_model(), root_path=PREFIX) as address, proxied(address, PREFIX) as url:
        yield url


@pytest.fixture
def playground(browser: Browser, public: str) -> Iterator[Playground]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        opened = Playground(context.new_page(), public)
        yield opened
    assert opened.faults == []


@pytest.mark.parametrize("slash", ["", "/"])
def test_page_scores_under_a_prefix(playground: Playground, slash: str) -> None:
    page = playground.page
    page.goto(f"{playground.url}{slash}#a=The+old+river")
    expect(page.locator("#model")).not_to_be_empty(timeout=SECONDS * 1000)
    box = page.locator("#texts textarea").first
    box.fill("The old river")
    expect(page.locator(".scored .w").first).to_have_text("The", timeout=SECONDS * 1000)
    assert playground.request_bodies(f"{PREFIX}/score")
    paths = [urlsplit(request.url).path for request in playground.requests]
    assert all(path.startswith(PREFIX) for path in paths if path != "/favicon.ico"), paths


def test_documentation_calls_routes_under_a_prefix(playground: Playground) -> None:
    """Swagger sends requests to the server address in openapi.json."""
    page = playground.page
    page.goto(f"{playground.url}/docs")
    live = page.locator("#operations-operations-live_health_live_get")
    live.click(timeout=SECONDS * 1000)
    live.get_by_role("button", name="Try it out").click()
    live.get_by_role("button", name="Execute").click()
    status = live.locator(".live-responses-table .response-col_status")
    expect(status.filter(has_text="200")).to_have_count(1, timeout=SECONDS * 1000)
