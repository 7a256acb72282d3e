"""Tokenized text: memory-mapped arrays of ids in a cache that runs share.

Every line ends in `<eos>`. An entry of the cache is a folder that holds one split. Its name is a
hash of the text, of the tokenizer and of FORMAT:

    <hash>/ids.int32     all ids in the order of the text
    <hash>/counts.json   tokens, lines, `<unk>`s, characters, bytes

An entry is written under another name and renamed. It is therefore complete or missing, also if
several processes write the same one. It may be deleted while no run reads it. Memory holds a few
blocks of text at a time, never the split.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from train.data.source import Block, Source, new_hasher
from train.data.tokenizer import UNKNOWN, end_id
from train.errors import CorpusError
from train.runtime.atomic import move_folder, write_file

Ids = NDArray[np.int32]
FORMAT = 1  # increase it if the same text and tokenizer give other files
PARTIAL = ".partial-"
PARTIAL_NAME = re.compile(r"\.partial-[0-9a-f]{32}")
ENTRY = ("ids.int32", "counts.json")
ABANDONED_SECONDS = 86_400  # a live run writes many times a second
# The tokenizer encodes a block in its own threads, one per core. With two blocks at once it
# continues while Python copies the ids of the other block, which is about 6 % of the work. On two
# cores this took the same processor time per token as one process per core, which would need more
# memory.
BLOCKS_AT_ONCE = 2
BLOCKS_AHEAD = 4


@dataclass(frozen=True)
class Split:
    """The ids (N,) of one split. `characters` and `bytes` count the lines without their ends."""

    ids: Ids
    digest: str
    lines: int
    unknown: int
    characters: int
    bytes: int

    def counts(self) -> dict[str, int]:
        """Return the counts as `corpus.json` and `report.json` have them."""
        return {
            "tokens": len(self.ids),
            "lines": self.lines,
            "unknown": self.unknown,
            "characters": self.characters,
            "bytes": self.bytes,
        }


def default_cache() -> Path:
    """Return `$XDG_CACHE_HOME/tiedlm`, or `~/.cache/tiedlm`.

    Raises CorpusError if the user has no home folder.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (folder if folder.is_absolute() else Path.home() / ".cache") / "tiedlm"
    except RuntimeError:
        raise CorpusError("no home folder for the cache of tokenized text; give --cache") from None


def tokenize(source: Source, tokenizer: Tokenizer, cache: Path, name: str) -> Split:
    """Return a split with memory-mapped ids from the cache, after writing them there if needed.

    Raises CorpusError if the split has no word, or changes while it is read; OSError.
    """
    key = hashlib.blake2b(digest_size=20)
    key.update(f"{FORMAT}\n{source.content.digest}\n{tokenizer.to_str()}".encode())
    entry = cache / key.hexdigest()
    split = _read_entry(entry, source)
    if split is None:
        _write_entry(entry, source, tokenizer, name)
        split = _read_entry(entry, source)
    if split is None:
        raise CorpusError(f"cannot read {entry}, which was just written; check the disk")
    return split


def _read_entry(entry: Path, source: Source) -> Split | None:
    """Return the split, or None if the entry is missing or damaged."""
    try:
        counts: dict[str, int] = json.loads((entry / "counts.json").read_text(encoding="utf-8"))
        ids = np.memmap(entry / "ids.int32", np.int32, mode="r")
        tokens = counts.pop("tokens")
        return Split(ids, source.content.digest, **counts) if len(ids) == tokens else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write_entry(entry: Path, source: Source, tokenizer: Tokenizer, name: str) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(entry.parent)
    partial = entry.with_name(f"{PARTIAL}{uuid4().hex}")
    partial.mkdir()
    try:
        counts = _write_ids(source, tokenizer, partial / "ids.int32", name)
        write_file(partial / "counts.json", json.dumps(counts).encode())
        if _read_entry(entry, source) is None:  # another run may have made it meanwhile
            shutil.rmtree(entry, ignore_errors=True)
            try:
                move_folder(partial, entry)
            except OSError:  # another run may have made it since that check
                if _read_entry(entry, source) is None:
                    raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_ids(source: Source, tokenizer: Tokenizer, path: Path, name: str) -> dict[str, int]:
    """Write the ids of a split as int32, and return its counts. Raises CorpusError, OSError."""
    end, unk = end_id(tokenizer), tokenizer.token_to_id(UNKNOWN)
    hasher = new_hasher()
    tokens = unknown = characters = 0
    with path.open("wb") as file, ThreadPoolExecutor(BLOCKS_AT_ONCE) as pool:
        for block, ids in _encode(source.blocks(f"tokenizing {name}"), tokenizer, end, pool):
            file.write(ids.tobytes())
            hasher.update(block.to_bytes())
            tokens += len(ids)
            unknown += 0 if unk is None else int(np.count_nonzero(ids == unk))
            characters += sum(map(len, block.texts))
        file.flush()
        os.fsync(file.fileno())
    file_name, (digest, lines, size) = source.files[0], source.content
    if hasher.hexdigest() != digest:
        raise CorpusError(f"the {name} split ({file_name}) changed while it was read; start again")
    if tokens == lines:
        raise CorpusError(f"the {name} split ({file_name}) has no words; give a text that has some")
    return {
        "tokens": tokens,
        "lines": lines,
        "unknown": unknown,
        "characters": characters,
        "bytes": size - lines,
    }


def _encode(
    blocks: Iterator[Block], tokenizer: Tokenizer, end: int, pool: ThreadPoolExecutor
) -> Iterator[tuple[Block, Ids]]:
    """Yield every block with its ids (N,), in order. Encode up to BLOCKS_AHEAD blocks ahead."""

    def encode(block: Block) -> Ids:
        ids: list[int] = []
        for encoding in tokenizer.encode_batch_fast(block.texts):
            ids += encoding.ids
            ids.append(end)
        return np.array(ids if block.ends_line else ids[:-1], np.int32)

    ahead: deque[tuple[Block, Future[Ids]]] = deque()
    for block in blocks:
        ahead.append((block, pool.submit(encode, block)))
        if len(ahead) == BLOCKS_AHEAD:
            first, future = ahead.popleft()
            yield first, future.result()
    for first, future in ahead:
        yield first, future.result()


def _remove_abandoned(cache: Path) -> None:
    """Remove the partial entries of killed runs, which take four bytes per token."""
    for partial in cache.glob(f"{PARTIAL}*"):
        try:
            files = list(partial.iterdir())
            last_write = max(path.stat().st_mtime for path in (partial, *files))
        except OSError:  # the process that wrote it has just removed it
            continue
        if not PARTIAL_NAME.fullmatch(partial.name) or not all(map(_is_own, files)):
            continue
        if time.time() - last_write > ABANDONED_SECONDS:
            shutil.rmtree(partial, ignore_errors=True)


def _is_own(file: Path) -> bool:
    """Return whether `_write_entry` writes files of this name."""
    name = file.name
    return file.is_file() and (name in ENTRY or name.startswith(".counts.json."))
