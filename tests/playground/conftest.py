"""Real servers with three kinds of bundles, and a real browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from pydantic import SecretStr

from service.bundle import Bundle
from service.language_model import LanguageModel
from service.settings import STARTER_BUNDLE, Settings
from tests.playground.browser import MISSING, SECONDS, Playground, chromium, launch
from tests.playground.bundles import write_bundle
from tests.support.api_client import ApiClient
from tests.support.http_server import serve_with

KEY = "a-key-of-the-test-server"
expect.set_options(timeout=SECONDS * 1000)


# Not of session scope: Playwright runs an event loop, and other tests could not start their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip(MISSING)
    with launch(path) as browser:
        yield browser


def starter_model(key: str | None = None, bundle: Path = STARTER_BUNDLE) -> LanguageModel:
    keys = None if key is None else SecretStr(key)
    settings = Settings(bundle=bundle, threads=1, api_keys=keys)
    return LanguageModel(Bundle.load(bundle), settings)


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    with serve_with(starter_model()) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="session")
def locked_url() -> Iterator[str]:
    """The URL of a server that needs an API key."""
    with serve_with(starter_model(KEY)) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="session")
def subword_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server with a subword model."""
    bundle = write_bundle("bpe", tmp_path_factory.mktemp("bundles"))
    with serve_with(starter_model(bundle=bundle)) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="session")
def character_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    bundle = write_bundle("char", tmp_path_factory.mktemp("bundles"))
    with serve_with(starter_model(bundle=bundle)) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="session")
def api(url: str) -> Iterator[ApiClient]:
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as http:
        yield ApiClient(http)


@contextmanager
def open_page(browser: Browser, url: str) -> Iterator[Playground]:
    """Open a page in a new context. Its faults fail the test."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        opened = Playground(context.new_page(), url)
        yield opened
    assert opened.faults == []


@pytest.fixture
def playground(browser: Browser, url: str) -> Iterator[Playground]:
    with open_page(browser, url) as opened:
        yield opened


@pytest.fixture
def subwords(browser: Browser, subword_url: str) -> Iterator[Playground]:
    with open_page(browser, subword_url) as opened:
        yield opened


@pytest.fixture
def characters(browser: Browser, character_url: str) -> Iterator[Playground]:
    with open_page(browser, character_url) as opened:
        yield opened


@pytest.fixture
def subword_api(subword_url: str) -> Iterator[ApiClient]:
    with httpx.Client(base_url=subword_url, timeout=120, trust_env=False) as http:
        yield ApiClient(http)


@pytest.fixture
def character_api(character_url: str) -> Iterator[ApiClient]:
    with httpx.Client(base_url=character_url, timeout=120, trust_env=False) as http:
        yield ApiClient(http)
