"""Bundles behind real servers, and a real browser before them."""

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
from tests.playground.browser import MISSING, SECONDS, Playground, chromium, launched
from tests.playground.bundles import bundle_of
from tests.support.api_client import ApiClient
from tests.support.http_server import serve_with

KEY = "a-key-of-the-test-server"
expect.set_options(timeout=SECONDS * 1000)


# Not of the session: Playwright has an event loop of its own while it runs, and another test
# could not start one.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip(MISSING)
    with launched(path) as started:
        yield started


def starter(key: str | None = None, bundle: Path = STARTER_BUNDLE) -> LanguageModel:
    keys = None if key is None else SecretStr(key)
    settings = Settings(bundle=bundle, threads=1, api_keys=keys)
    return LanguageModel(Bundle.load(bundle), settings)


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    with serve_with(starter()) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="session")
def locked_url() -> Iterator[str]:
    """Of a server that wants a key."""
    with serve_with(starter(KEY)) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="session")
def pieces_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server whose tokens are pieces of words."""
    bundle = bundle_of("bpe", tmp_path_factory.mktemp("bundles"))
    with serve_with(starter(bundle=bundle)) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="session")
def characters_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    bundle = bundle_of("char", tmp_path_factory.mktemp("bundles"))
    with serve_with(starter(bundle=bundle)) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="session")
def api(url: str) -> Iterator[ApiClient]:
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as http:
        yield ApiClient(http)


@contextmanager
def page_of(browser: Browser, url: str) -> Iterator[Playground]:
    """A page in a fresh context; nothing may have gone wrong in it at the end."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        made = Playground(context.new_page(), url)
        yield made
    assert made.faults == []


@pytest.fixture
def playground(browser: Browser, url: str) -> Iterator[Playground]:
    with page_of(browser, url) as made:
        yield made


@pytest.fixture
def pieces(browser: Browser, pieces_url: str) -> Iterator[Playground]:
    with page_of(browser, pieces_url) as made:
        yield made


@pytest.fixture
def characters(browser: Browser, characters_url: str) -> Iterator[Playground]:
    with page_of(browser, characters_url) as made:
        yield made


@pytest.fixture
def pieces_wire(pieces_url: str) -> Iterator[ApiClient]:
    with httpx.Client(base_url=pieces_url, timeout=120, trust_env=False) as http:
        yield ApiClient(http)


@pytest.fixture
def characters_wire(characters_url: str) -> Iterator[ApiClient]:
    with httpx.Client(base_url=characters_url, timeout=120, trust_env=False) as http:
        yield ApiClient(http)
