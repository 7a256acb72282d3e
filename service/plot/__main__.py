"""`python -m service.plot FILE --out surprise.png`: draw how surprising each token of a text is.

The suffix of the output selects a chart (`.png`, `.svg`) or a self-contained page of coloured text
(`.html`). The text is scored in this process, without a server. The input may be compressed (`.gz`,
`.zst`), or `-` for standard input.
"""

import argparse
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from service.runtime.startup import require_packages

if __name__ == "__main__":
    require_packages()

from service.errors import ServiceError, StartError
from service.files.atomic import write_atomically
from service.files.outputs import Output, input_path, output_path, refuse_existing, refuse_inputs
from service.plot.html_page import render_html
from service.plot.scored_text import ScoredText, score_file
from service.runtime.startup import print_any_text
from service.scoring import NATS_IN
from service.settings import STARTER_BUNDLE

SUFFIXES = (".png", ".svg", ".html")


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    print_any_text()
    options = _parser().parse_args(arguments)
    try:
        out = output_path(options.out)
        _check_output(out, options)
        render = _renderer(out.suffix.lower())
        scored = score_file(options.file, options.bundle, options.unit)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            content = render(scored)
        try:
            write_atomically(out, content)
        except OSError as error:
            raise StartError(f"--out {out}: {error.strerror or error}") from None
    except ServiceError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    if any("Glyph" in str(warning.message) for warning in caught):
        print(
            "note: no installed font has all characters of this text, some are shown as boxes; "
            "install a font such as Noto Sans CJK, or write an .html file",
            file=sys.stderr,
        )
    print(f"{out}: {scored.summary}")
    if scored.note:
        print(f"note: {scored.note}")
    return 0


def _check_output(out: Path, options: argparse.Namespace) -> None:
    """Raise StartError if `out` has an unsupported suffix, is an input, or exists."""
    if out.suffix.lower() not in SUFFIXES:
        raise StartError(f"--out {out}: unsupported suffix; use one of {', '.join(SUFFIXES)}")
    bundle_files = options.bundle.iterdir() if options.bundle.is_dir() else ()
    refuse_inputs([Output(out, f"--out {out}")], [options.file, options.bundle, *bundle_files])
    refuse_existing(out, options.overwrite)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service.plot", description="Draw how surprising each token of a text is."
    )
    parser.add_argument(
        "file", type=input_path, help="text in UTF-8, may be .gz or .zst; - is standard input"
    )
    parser.add_argument("--out", required=True, help="output file: .png, .svg or .html")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument(
        "--bundle", type=Path, default=STARTER_BUNDLE, help="default: the starter bundle"
    )
    parser.add_argument("--unit", choices=list(NATS_IN), default="bits", help="default: bits")
    return parser


def _renderer(suffix: str) -> Callable[[ScoredText], bytes]:
    """Return the function that renders a file with this suffix.

    Raises StartError if matplotlib is missing, before the text is scored.
    """
    if suffix == ".html":
        return render_html
    try:
        from service.plot.chart import render_chart
    except ImportError:
        raise StartError(
            f"a {suffix} file needs matplotlib; in the clone of tiedlm run pip install '.[plot]', "
            "or write an .html file"
        ) from None
    return partial(render_chart, file_format=suffix.removeprefix("."))


if __name__ == "__main__":
    sys.exit(main())
