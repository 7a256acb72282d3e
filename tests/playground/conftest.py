"""The starter bundle behind a real server, and a real browser before it."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser
from pydantic import SecretStr

from service.bundle import Bundle
from service.language_model import LanguageModel
from service.settings import STARTER_BUNDLE, Settings
from tests.playground.browser import MISSING, Playground, chromium, launched
from tests.service.served import served
from tests.service.wire import Wire

KEY = "a-key-of-the-test-server"


# Not of the session: Playwright has an event loop of its own while it runs, and another test
# could not start one.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip(MISSING)
    with launched(path) as started:
        yield started


def starter(key: str | None = None) -> LanguageModel:
    keys = None if key is None else SecretStr(key)
    settings = Settings(bundle=STARTER_BUNDLE, threads=1, api_keys=keys)
    return LanguageModel(Bundle.load(STARTER_BUNDLE), settings)


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    with served(starter()) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="session")
def locked_url() -> Iterator[str]:
    """Of a server that wants a key."""
    with served(starter(KEY)) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="session")
def wire(url: str) -> Iterator[Wire]:
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as http:
        yield Wire(http)


@pytest.fixture
def playground(browser: Browser, url: str) -> Iterator[Playground]:
    """A page in a fresh context; nothing may have gone wrong in it when the test is over."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        made = Playground(context.new_page(), url)
        yield made
    assert made.faults == []
