"""The names of splits: which files and folders are the train, valid and test split of a text.

A name is the split's name or one of ALIASES, alone or with the name of the text and the number of a
part: `ptb.train.txt`, `wiki.valid.tokens`, `dev.en.txt`, `train-00000-of-00002.txt`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from train.data.folder import HIDDEN, SUFFIXES

ALIASES = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing"),
}
SPLIT_OF = {alias: split for split, aliases in ALIASES.items() for alias in aliases}
# WikiText is distributed as .tokens and .raw. Outside of splits a .raw file is often a photograph.
SPLIT_SUFFIXES = (*SUFFIXES, ".tokens", ".tokens.gz", ".raw", ".raw.gz")
FOLDER = "/"  # the suffix of a folder
NAME = re.compile(
    rf"(?:(?P<before>.+)[._-])?(?P<alias>{'|'.join(SPLIT_OF)})"
    r"(?P<part>[._-]?\d+(?:[._-]of[._-]\d+)?)?(?:[._-](?P<after>.+?))??"
    rf"(?P<suffix>{'|'.join(map(re.escape, SPLIT_SUFFIXES))}|)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class SplitEntry:
    """A file or folder that has the name of a split. `corpus` is the rest of its name."""

    path: Path
    corpus: tuple[str, str]
    split: str
    alias: str
    is_part: bool
    suffix: str

    @property
    def is_exact(self) -> bool:
        """True if the name is `train`, `valid` or `test` and nothing else."""
        return self.corpus == ("", "") and self.alias == self.split and not self.is_part


def parse_entry(path: Path) -> SplitEntry | None:
    """Return the split that a path is named as, or None. Raises OSError."""
    found = NAME.fullmatch(path.name)
    if found is None or path.name.startswith(HIDDEN):
        return None
    is_file = path.is_file()
    if not ((is_file and found["suffix"]) or path.is_dir()):
        return None
    alias = found["alias"].lower()
    return SplitEntry(
        path,
        ((found["before"] or "").lower(), (found["after"] or "").lower()),
        SPLIT_OF[alias],
        alias,
        found["part"] is not None,
        found["suffix"].lower() if is_file else FOLDER,
    )


def one_form_each(paths: Iterable[Path]) -> dict[Path, Path]:
    """Map every path to the one that is read for it, in the order of SPLIT_SUFFIXES.

    Paths that differ in their suffix alone, such as `a.txt.gz`, `a.tokens` and `a.raw`, are forms
    of the same text.
    """
    chosen: dict[Path, Path] = {}
    listed = sorted(paths, key=lambda path: SPLIT_SUFFIXES.index(split_suffix(path.name)))
    for path in listed:
        chosen.setdefault(without_suffix(path), path)
    return {path: chosen[without_suffix(path)] for path in listed}


def without_suffix(path: Path) -> Path:
    return path.with_name(path.name[: -len(split_suffix(path.name))])


def split_suffix(name: str) -> str:
    """Return the longest of SPLIT_SUFFIXES at the end of a file's name, which must have one."""
    return max((s for s in SPLIT_SUFFIXES if name.lower().endswith(s)), key=len)
