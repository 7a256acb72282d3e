"""`python -m service.plot FILE --out surprise.png`: how surprising each token of a text is.

The name's end says what is made: a picture (`.png`, `.svg`), or a page of coloured text (`.html`)
that needs nothing else. The file is scored in this process; no server is needed. It may be packed
(`.gz`, `.zst`), or `-` for standard input.
"""

import argparse
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from service.runtime.packages import require_packages

if __name__ == "__main__":
    require_packages()

from service.errors import ServiceError, StartError
from service.files.atomic import write_atomically
from service.files.outputs import Output, input_path, output_path, refuse_existing, refuse_inputs
from service.plot.page import page
from service.plot.scored import Scored, score_file
from service.runtime.console import print_any_text
from service.scoring import NATS_IN
from service.settings import STARTER_BUNDLE

KINDS = (".png", ".svg", ".html")


def main(arguments: list[str] | None = None) -> int:
    print_any_text()
    options = _parser().parse_args(arguments)
    try:
        out = output_path(options.out)
        kind = out.suffix.lower()
        if kind not in KINDS:
            raise StartError(f"--out {out}: its name ends in one of {', '.join(KINDS)}")
        bundle = options.bundle.iterdir() if options.bundle.is_dir() else ()
        refuse_inputs([Output(out, f"--out {out}")], [options.file, options.bundle, *bundle])
        refuse_existing(out, options.overwrite)
        draw = _drawing(kind)
        scored = score_file(options.file, options.bundle, options.unit)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            content = draw(scored)
        try:
            write_atomically(out, content)
        except OSError as error:
            raise StartError(f"--out {out}: {error.strerror or error}") from None
    except ServiceError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    if any("Glyph" in str(warning.message) for warning in warned):
        print(
            "note: no font here has all of these characters, some are boxes; "
            "install one, such as Noto Sans CJK, or write an .html file",
            file=sys.stderr,
        )
    print(f"{out}: {scored.summary}")
    if scored.note:
        print(f"note: {scored.note}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service.plot", description="Draw how surprising each token of a text is."
    )
    parser.add_argument(
        "file", type=input_path, help="text in UTF-8, also .gz and .zst; - is standard input"
    )
    parser.add_argument("--out", required=True, help="surprise.png, .svg or .html")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument("--bundle", type=Path, default=STARTER_BUNDLE, help="default: the starter")
    parser.add_argument("--unit", choices=list(NATS_IN), default="bits", help="default: bits")
    return parser


def _drawing(kind: str) -> Callable[[Scored], bytes]:
    """Return what draws. Raises StartError, before the text is scored, without matplotlib."""
    if kind == ".html":
        return page
    try:
        from service.plot.picture import picture
    except ImportError:
        raise StartError(
            f"a {kind} file needs matplotlib, an .html file does not; in the clone of tiedlm: "
            "pip install '.[plot]'"
        ) from None
    return partial(picture, kind=kind.removeprefix("."))


if __name__ == "__main__":
    sys.exit(main())
