"""The command `python -m train.natural_text IN OUT`: convert WikiText to natural text.

WikiText writes `17 @-@ place`, `1 @,@ 000` and spaces around all punctuation. This program removes
such marks, heading marks and empty lines, and keeps case, so that a model trained on the result
scores ordinary sentences well.
"""

import argparse
import re
import sys
from pathlib import Path

from train.runtime.packages import require_packages

if __name__ == "__main__":
    require_packages()

from train.data.folder import text_files
from train.data.source import Source
from train.data.split_names import SPLIT_SUFFIXES, split_suffix
from train.errors import CorpusError, PathError, TrainError
from train.runtime.atomic import write_file
from train.runtime.lock import locked_folder
from train.runtime.paths import check_sources, same
from train.runtime.progress import print_line

RULES = [
    (re.compile(r" @([-,.])@ "), r"\1"),
    (re.compile(r" ([.,;:!?%)\]}…])"), r"\1"),
    (re.compile(r"([(\[{$£€]) "), r"\1"),
    (re.compile(r" (['’](?:s|t|re|ve|ll|d|m)\b)"), r"\1"),
    (re.compile(r"(?<=s) '(?= )"), "'"),  # the teams ' season
    (re.compile(r'" ([^"]*?) "'), r'"\1"'),
]
HEADING = re.compile(r"^(?:= )+(.*?)(?: =)+$")


def natural(line: str) -> str:
    """Return a line of WikiText as natural text, without a line end; empty for an empty line."""
    line = line.strip()
    if heading := HEADING.match(line):
        line = heading.group(1)
    for pattern, replacement in RULES:
        line = pattern.sub(replacement, line)
    return line


def convert(source: Path, out: Path, overwrite: bool) -> None:
    """Write each text file in the folder `source` to `out` as natural text, without sub-folders.

    Raises TrainError, OSError.
    """
    if same(out, source):
        raise PathError(f"OUT {out} is IN itself; give a folder of its own")
    if not source.is_dir():
        raise CorpusError(f"{source}: not a folder")
    paths = text_files(source, print_line, SPLIT_SUFFIXES, is_deep=False)
    if not paths:
        raise CorpusError(f"{source}: no .txt, .tokens or .raw file in it")
    check_sources(paths, out)
    targets = {out / natural_name(path.name): path for path in paths}
    existing = [path for path in targets if path.exists()]
    if existing and not overwrite:
        raise PathError(
            f"{existing[0]} already exists; give another OUT, or --overwrite to replace it"
        )
    if len(targets) < len(paths):
        raise PathError(f"{source}: two of its files differ in their suffixes alone; move one away")
    with locked_folder(out):
        for target, path in targets.items():
            lines = [text for line in Source((path,)).lines() if (text := natural(line))]
            write_file(target, ("\n".join(lines) + "\n").encode())
            print_line(f"{target}: {len(lines):,} lines")


def natural_name(source: str) -> str:
    """Return the name of the natural text: wiki.train.tokens.gz becomes wiki.train.txt."""
    return source[: -len(split_suffix(source))] + ".txt"


def main(arguments: list[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m train.natural_text", description=__doc__)
    parser.add_argument(
        "source", type=Path, metavar="IN", help="folder of text; its sub-folders are not read"
    )
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder for the same files as .txt, outside of IN"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files of OUT")
    options = parser.parse_args(arguments)
    try:
        convert(options.source, options.out, options.overwrite)
    except (TrainError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
