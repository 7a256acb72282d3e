"""Debian's Chromium, driven by Playwright; what goes wrong in its page is written down."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no browser here: apt-get install chromium, and the playground is tested"
SECONDS = 60.0  # far beyond what anything takes on an idle machine


def chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def launched(path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Without its sandbox: that needs rights which containers do not have.
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@dataclass
class Playground:
    """The page of one server. `faults` are errors, violated policies, and requests elsewhere."""

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
        """The page anew, with these texts in its link, and all figures in it."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}/#{urlencode(fragment, quote_via=quote)}")
        self.settled()

    def settled(self) -> None:
        """Waits until the view that is open has its answers."""
        self.page.wait_for_function(
            """() => document.querySelector('[role=tabpanel]:not([hidden])')
                  && ![...document.querySelectorAll('[role=tabpanel]:not([hidden]) [aria-busy]')]
                       .some((box) => box.getAttribute('aria-busy') === 'true')""",
            timeout=SECONDS * 1000,
        )

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()
        self.settled()

    def words(self, pane: int = 0) -> list[dict[str, Any]]:
        """What each coloured word shows: its text and classes."""
        self.settled()
        found: list[dict[str, Any]] = (
            self.page.locator(".scored")
            .nth(pane)
            .evaluate(
                """(box) => [...box.querySelectorAll('.w')].map((word) =>
                ({text: word.textContent, classes: [...word.classList]}))"""
            )
        )
        return found

    def answers(self, path: str) -> list[Any]:
        """JSON bodies of requests to a route, in order."""
        return [r.post_data_json for r in self.requests if urlsplit(r.url).path == path]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(
            words in message.text for words in self.expected
        ):
            self.faults.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        self.requests.append(request)
        if not request.url.startswith((self.url, "about:", "data:")):
            self.faults.append(f"request: {request.url}")


def axe() -> str:
    """The source of axe-core, which finds what keeps people from using a page."""
    import axe_playwright_python

    (source,) = Path(axe_playwright_python.__path__[0]).rglob("axe.min.js")
    return source.read_text(encoding="utf-8")
