"""Chromium with the playground, driven by Playwright. Errors in the page are recorded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no browser found; run apt-get install chromium to test the playground"
SECONDS = 60.0  # much longer than anything takes on an idle machine


def chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def launch(path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # The sandbox needs privileges that containers do not have.
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@dataclass
class Playground:
    """The page of one server. `faults` are errors, policy violations and requests to others."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.page.set_default_timeout(SECONDS * 1000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", self._request)

    def open(self, **fragment: str) -> None:
        """Open a new page with these texts in its link, and wait for the results."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}/#{urlencode(fragment, quote_via=quote)}")
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        """Wait until the open view shows all results."""
        self.page.wait_for_function(
            """() => document.querySelector('[role=tabpanel]:not([hidden])')
                  && ![...document.querySelectorAll('[role=tabpanel]:not([hidden]) [aria-busy]')]
                       .some((box) => box.getAttribute('aria-busy') === 'true')""",
            timeout=SECONDS * 1000,
        )

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()
        self.wait_until_idle()

    def words(self, pane: int = 0) -> list[dict[str, Any]]:
        """Return the text and the CSS classes of each coloured word."""
        self.wait_until_idle()
        found: list[dict[str, Any]] = (
            self.page.locator(".scored")
            .nth(pane)
            .evaluate(
                """(box) => [...box.querySelectorAll('.w')].map((word) =>
                ({text: word.textContent, classes: [...word.classList]}))"""
            )
        )
        return found

    def request_bodies(self, path: str) -> list[Any]:
        """Return the JSON bodies of the requests to a route, in order."""
        return [
            request.post_data_json
            for request in self.requests
            if urlsplit(request.url).path == path
        ]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(
            words in message.text for words in self.expected
        ):
            self.faults.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        self.requests.append(request)
        if not request.url.startswith((self.url, "about:", "data:")):
            self.faults.append(f"request: {request.url}")


def axe_source() -> str:
    """Return the source of axe-core, which checks accessibility."""
    import axe_playwright_python

    (source,) = Path(axe_playwright_python.__path__[0]).rglob("axe.min.js")
    return source.read_text(encoding="utf-8")
