"""The splits of a text: files and folders with the names of splits, or parts of the whole text.

A folder of text holds a `train`, a `valid` and a `test` split, each a file or a folder of files
(`split_names.py`). A text without splits is divided (`held_out.py`).
"""

import stat
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from train.config import DataConfig
from train.data.folder import HIDDEN, Warn, text_files
from train.data.held_out import hold_out
from train.data.source import SPLITS, Source
from train.data.split_names import FOLDER, SPLIT_SUFFIXES, SplitEntry, one_form_each, parse_entry
from train.errors import CorpusError

EntriesBySplit = dict[str, list[SplitEntry]]


def find_splits(
    data: Path, config: DataConfig | None = None, warn: Warn = lambda _: None
) -> tuple[dict[str, Source], str]:
    """Return the source of each split, and a sentence about how the splits were found.

    `data` is a folder, or one file of text under any name. Calls `warn` with a line for each entry
    that is left out. Raises CorpusError if the folder has no text, a split is missing, or several
    texts have splits.
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
    entries = _find_entries(data)
    if entries is None:
        _refuse_nested(data)
        files = text_files(data, warn)
        if not files:
            raise CorpusError(f"--data {data}: no .txt or .txt.gz file in it")
        return hold_out(data, files, config)
    sources = {split: Source(_files(data, entries[split], warn)) for split in SPLITS}
    for split, source in sources.items():
        if not source.files:
            raise CorpusError(
                f"--data {data}: the {split} split has no text file: {', '.join(SPLIT_SUFFIXES)}"
            )
    files_found = "; ".join(_listed(data, source.files) for source in sources.values())
    return sources, f"splits as {data} has them: {files_found}"


def _listed(data: Path, files: tuple[Path, ...]) -> str:
    more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
    return f"{files[0].relative_to(data)}{more}"


def _find_entries(data: Path) -> EntriesBySplit | None:
    """Return the entries of `data` that are the splits of one text, or None without any split."""
    corpora: dict[tuple[str, str], EntriesBySplit] = defaultdict(
        lambda: {split: [] for split in SPLITS}
    )
    try:
        for path in sorted(data.iterdir()):
            if entry := parse_entry(path):
                corpora[entry.corpus][entry.split].append(entry)
    except OSError as error:
        raise CorpusError(f"cannot read {error.filename or data}: {error.strerror}") from None
    plain = corpora.pop(("", ""), {split: [] for split in SPLITS})
    if all(plain.values()):
        return plain
    if (
        any(entry.is_exact for entries in plain.values() for entry in entries)
        or plain["train"]
        or _has_two_splits(plain)
    ):
        raise _incomplete(data, plain)
    complete = [entries for entries in corpora.values() if all(entries.values())]
    if len(complete) > 1:
        names = ", ".join(entries["train"][0].path.name for entries in complete)
        raise CorpusError(
            f"--data {data}: several texts in it have splits ({names}); give each text a folder of "
            "its own"
        )
    if complete:
        return complete[0]
    for entries in corpora.values():
        if _has_two_splits(entries):
            raise _incomplete(data, entries)
    return None


def _has_two_splits(entries: EntriesBySplit) -> bool:
    """Return whether at least two splits are named.

    One name alone, such as dev.txt, high-speed-train.txt or unit-test.txt, does not mean a split.
    """
    return sum(map(bool, entries.values())) > 1


def _refuse_nested(data: Path) -> None:
    """Raise CorpusError if the only sub-folder, at any depth, has splits: they would be mixed."""
    for folder in _only_folders(data):
        try:
            has_splits = _find_entries(folder) is not None
        except CorpusError:  # an incomplete set of splits
            return
        if has_splits:
            raise CorpusError(f"--data {data}: its splits are in {folder}; give --data {folder}")


def _only_folders(data: Path) -> Iterator[Path]:
    """Yield the only sub-folder of `data`, the only sub-folder of that one, and so on."""
    visited = {data.resolve()}
    while True:
        try:
            folders = [p for p in data.iterdir() if p.is_dir() and not p.name.startswith(HIDDEN)]
        except OSError as error:
            raise CorpusError(f"cannot read {error.filename or data}: {error.strerror}") from None
        if len(folders) != 1 or folders[0].resolve() in visited:
            return
        data = folders[0]
        visited.add(data.resolve())
        yield data


def _incomplete(data: Path, entries: EntriesBySplit) -> CorpusError:
    missing = [split for split in SPLITS if not entries[split]]
    return CorpusError(
        f"--data {data}: there is no {' and no '.join(missing)}; give all of train, valid and "
        "test (.txt, .txt.gz or a folder of them), or texts whose names are not those of splits"
    )


def _files(data: Path, entries: list[SplitEntry], warn: Warn) -> tuple[Path, ...]:
    """Return the files of one split: those of one entry, or of all numbered parts.

    A text that exists in several forms is read once. Raises CorpusError if entries of different
    aliases name the split.
    """
    order = [*SPLIT_SUFFIXES, FOLDER]
    entries = sorted(entries, key=lambda entry: (order.index(entry.suffix), entry.path))
    chosen = [entry for entry in entries if entry.is_exact][:1]
    if not chosen:
        aliases = sorted({entry.alias for entry in entries})
        if len(aliases) > 1:
            raise CorpusError(
                f"--data {data}: both {' and '.join(aliases)} name the {entries[0].split} split; "
                "keep one of them"
            )
        chosen = [entry for entry in entries if not entry.is_part][:1] or entries
    for entry in entries:
        if entry not in chosen:
            warn(
                f"warning: {entry.path} is left out: {chosen[0].path.name} is the "
                f"{entry.split} split"
            )
    found: list[Path] = []
    for entry in sorted(chosen, key=lambda entry: entry.path):
        is_folder = entry.suffix == FOLDER
        found += text_files(entry.path, warn, SPLIT_SUFFIXES) if is_folder else [entry.path]
    forms = one_form_each(found)
    for path in found:
        if forms[path] != path:
            warn(f"warning: {path} is left out: {forms[path].name} is the same text")
    return tuple(path for path in found if forms[path] == path)
