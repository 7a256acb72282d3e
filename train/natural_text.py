"""`python -m train.natural_text IN OUT`: WikiText's tokenised lines back into natural text.

WikiText writes `17 @-@ place`, `1 @,@ 000` and spaces around all punctuation. Here that is undone,
case is kept, heading marks and empty lines go, so that a model trained on the result is at home
in ordinary sentences.
"""

import argparse
import re
import sys
from pathlib import Path

from train.atomic import write_file
from train.errors import CorpusError, TrainError
from train.source import Source

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
    """One line, without its end; empty for an empty line."""
    line = line.strip()
    if heading := HEADING.match(line):
        line = heading.group(1)
    for pattern, replacement in RULES:
        line = pattern.sub(replacement, line)
    return line


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m train.natural_text", description=__doc__)
    parser.add_argument("source", type=Path, help="folder with train.txt, valid.txt and test.txt")
    parser.add_argument("out", type=Path, help="folder to write the same files to")
    options = parser.parse_args(arguments)
    try:
        paths = sorted(options.source.glob("*.txt"))
        if not paths:
            raise CorpusError(f"{options.source}: no .txt file in it")
        options.out.mkdir(parents=True, exist_ok=True)
        for path in paths:
            lines = [text for line in Source((path,)).lines() if (text := natural(line))]
            write_file(options.out / path.name, ("\n".join(lines) + "\n").encode())
            print(f"{options.out / path.name}: {len(lines):,} lines")
    except (TrainError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
