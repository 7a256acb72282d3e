"""`python -m tests.playground.screenshots`: redraw the README's pictures of the playground."""

import argparse
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from tests.playground.browser import MISSING, Playground, chromium, launch
from tests.playground.conftest import starter_model
from tests.support.http_server import serve_with

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
SIZE = {"width": 1100, "height": 940}
COLOURS = 128  # a palette takes a third of the bytes without a visible difference
TEXT = (
    "The ship was built in London in 1897.\n"
    "It sank in a storm off the coast of Scotland, and the captain was eaten by a piano."
)
VIEWS = {
    "surprise": {"view": "surprise", "text": TEXT},
    "next-word": {"view": "next", "words": "The ship was built in Lo"},
    "rescore": {
        "view": "rescore",
        "context": "The bridge crosses",
        "hypotheses": "-1.0 the liver\n-1.2 the river\n-1.4 the rival\n-2.9 a river",
    },
}


def draw(browser: Browser, url: str, name: str) -> Path:
    path = FOLDER / f"{name}.png"
    with browser.new_context(viewport=SIZE) as context:  # type: ignore[arg-type]  # a TypedDict
        playground = Playground(context.new_page(), url)
        playground.open(**VIEWS[name])
        page = playground.page
        page.locator("#model", has_text="starter").wait_for()
        if name == "surprise":
            page.locator(".w", has_text="piano").hover()
        page.wait_for_timeout(500)  # until the bars have reached their length
        page.screenshot(path=path)
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    return path


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    executable = chromium()
    if executable is None:
        print(MISSING, file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with serve_with(starter_model()) as (host, port), launch(executable) as browser:
        for name in VIEWS:
            path = draw(browser, f"http://{host}:{port}", name)
            print(f"{path.name}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
