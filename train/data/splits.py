"""Which text makes the splits: files and folders by their names, or parts of a text without any.

A corpus folder holds a `train`, a `valid` and a `test` split. Each is a file or a folder of files.
Its name is the split's or one of ALIASES, perhaps with the name of the corpus, and with the number
of a part: `ptb.train.txt`, `wiki.valid.tokens`, `dev.en.txt`, `train-00000-of-00002.txt`.

A text without splits is divided (`held_out.py`).
"""

import re
import stat
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from train.config import DataConfig
from train.data.folder import HIDDEN, SUFFIXES, Warn, text_files
from train.data.held_out import hold_out
from train.data.source import SPLITS, Source
from train.errors import CorpusError

ALIASES = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing"),
}
SPLIT_OF = {alias: split for split, aliases in ALIASES.items() for alias in aliases}
# WikiText is distributed as .tokens and .raw. Elsewhere a .raw is a photograph.
SPLIT_SUFFIXES = (*SUFFIXES, ".tokens", ".tokens.gz", ".raw", ".raw.gz")
NAME = re.compile(
    rf"(?:(?P<before>.+)[._-])?(?P<alias>{'|'.join(SPLIT_OF)})"
    r"(?P<part>[._-]?\d+(?:[._-]of[._-]\d+)?)?(?:[._-](?P<after>.+?))??"
    rf"(?P<suffix>{'|'.join(map(re.escape, SPLIT_SUFFIXES))}|)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Entry:
    """A file or folder that is named as a split. `corpus` is the rest of its name."""

    path: Path
    corpus: tuple[str, str]
    split: str
    alias: str
    is_part: bool
    suffix: str

    @property
    def is_exact(self) -> bool:
        return self.corpus == ("", "") and self.alias == self.split and not self.is_part


Named = dict[str, list[_Entry]]  # by split


def find_splits(
    data: Path, config: DataConfig | None = None, warn: Warn = lambda _: None
) -> tuple[dict[str, Source], str]:
    """Return where each split's text is, and a sentence that says how it was found.

    `data` is a folder, or one file of text under any name. Calls `warn` with a line for each entry
    that is left out. Raises CorpusError when there is no text, a part of a split without the rest,
    or more than one text with splits.
    """
    config = config or DataConfig()
    try:
        mode = data.stat().st_mode
    except OSError as error:
        raise CorpusError(f"--data {data}: not a folder or a file: {error.strerror}") from None
    if stat.S_ISREG(mode):
        return hold_out(data, (data,), config)
    if not stat.S_ISDIR(mode):
        raise CorpusError(
            f"--data {data}: neither a folder nor a file; a text is read several times, so save "
            "it as a file"
        )
    named = _find_named(data)
    if named is None:
        _refuse_nested(data)
        files = text_files(data, warn)
        if not files:
            raise CorpusError(f"--data {data}: no .txt or .txt.gz file in it")
        return hold_out(data, files, config)
    sources = {split: Source(_files(data, named[split], warn)) for split in SPLITS}
    for split, source in sources.items():
        if not source.files:
            raise CorpusError(
                f"--data {data}: the {split} split has no text file: {', '.join(SPLIT_SUFFIXES)}"
            )
    taken = "; ".join(_listed(data, source.files) for source in sources.values())
    return sources, f"splits as {data} has them: {taken}"


def _listed(data: Path, files: tuple[Path, ...]) -> str:
    more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
    return f"{files[0].relative_to(data)}{more}"


def _find_named(data: Path) -> Named | None:
    """Return the entries of `data` that hold the splits, or None where it has no split."""
    corpora: dict[tuple[str, str], Named] = defaultdict(lambda: {split: [] for split in SPLITS})
    try:
        for path in sorted(data.iterdir()):
            if entry := _parse(path):
                corpora[entry.corpus][entry.split].append(entry)
    except OSError as error:
        raise CorpusError(f"cannot read {error.filename or data}: {error.strerror}") from None
    plain = corpora.pop(("", ""), {split: [] for split in SPLITS})
    if all(plain.values()):
        return plain
    if (
        any(entry.is_exact for entries in plain.values() for entry in entries)
        or plain["train"]
        or _is_part(plain)
    ):
        raise _incomplete(data, plain)
    whole = [named for named in corpora.values() if all(named.values())]
    if len(whole) > 1:
        names = ", ".join(named["train"][0].path.name for named in whole)
        raise CorpusError(
            f"--data {data}: several texts in it have splits ({names}); give each text a folder of "
            "its own"
        )
    if whole:
        return whole[0]
    for named in corpora.values():
        if _is_part(named):
            raise _incomplete(data, named)
    return None


def _is_part(named: Named) -> bool:
    """Return whether two splits are named. One name alone, dev.txt, high-speed-train.txt or
    unit-test.txt, is no sign of a split.
    """
    return sum(map(bool, named.values())) > 1


def _refuse_nested(data: Path) -> None:
    """Raises CorpusError where the only sub-folder holds splits, which would be mixed."""
    folders = [p for p in data.iterdir() if p.is_dir() and not p.name.startswith(HIDDEN)]
    try:
        nested = len(folders) == 1 and _find_named(folders[0])
    except CorpusError:  # no whole splits
        return
    if nested:
        raise CorpusError(
            f"--data {data}: its splits are in {folders[0]}; give --data {folders[0]}"
        )


def _parse(path: Path) -> _Entry | None:
    """Raises OSError."""
    found = NAME.fullmatch(path.name)
    if found is None or path.name.startswith(HIDDEN):
        return None
    is_file = path.is_file()
    if not ((is_file and found["suffix"]) or path.is_dir()):
        return None
    alias = found["alias"].lower()
    return _Entry(
        path,
        ((found["before"] or "").lower(), (found["after"] or "").lower()),
        SPLIT_OF[alias],
        alias,
        found["part"] is not None,
        found["suffix"].lower() if is_file else "/",
    )


def _incomplete(data: Path, named: Named) -> CorpusError:
    missing = [split for split in SPLITS if not named[split]]
    return CorpusError(
        f"--data {data}: there is no {' and no '.join(missing)}; give all of train, valid and "
        "test (.txt, .txt.gz or a folder of them), or texts whose names are not those of splits"
    )


def _files(data: Path, entries: list[_Entry], warn: Warn) -> tuple[Path, ...]:
    """Return the files of one split: one entry under its own name, or all numbered parts.

    Raises CorpusError where two names mean the split.
    """
    order = [*SPLIT_SUFFIXES, "/"]
    entries = sorted(entries, key=lambda entry: (order.index(entry.suffix), entry.path))
    chosen = [entry for entry in entries if entry.is_exact][:1]
    if not chosen:
        aliases = sorted({entry.alias for entry in entries})
        if len(aliases) > 1:
            raise CorpusError(
                f"--data {data}: both {' and '.join(aliases)} name the {entries[0].split} split; "
                "keep one of them"
            )
        chosen = [entry for entry in entries if not entry.is_part][:1] or _unpacked(entries)
    for entry in entries:
        if entry not in chosen:
            warn(
                f"warning: {entry.path} is left out: {chosen[0].path.name} is the "
                f"{entry.split} split"
            )
    found: list[Path] = []
    for entry in sorted(chosen, key=lambda entry: entry.path):
        found += (
            text_files(entry.path, warn, SPLIT_SUFFIXES) if entry.suffix == "/" else [entry.path]
        )
    return tuple(found)


def _unpacked(parts: list[_Entry]) -> list[_Entry]:
    """Return every part once, also where it is there packed and unpacked."""
    once: dict[str, _Entry] = {}
    for part in parts:
        once.setdefault(part.path.name.lower().removesuffix(".gz"), part)
    return list(once.values())
