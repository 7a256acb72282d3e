"""Ownership of files: whether a job wrote a file, judged by its name and content.

A job removes only files that a job wrote, and does not read them as documents.
"""

import json
import re
from pathlib import Path
from typing import Any

from service.errors import JobError, OutputError
from service.files import compression

ATTEMPT = ".attempt-"
LOCK = re.compile(rb"tiedlm job \d+\n")  # the number of the process that holds or held it
PART = re.compile(r"part-\d{5,}(\..+)?")
UNFINISHED_PART = re.compile(rf"\.?part-\d{{5,}}(\..+)?|{re.escape(ATTEMPT)}.*")
FIRST_BYTES = 1 << 12
HEAD_BYTES = 1 << 20
# The beginnings of outputs: a row or a problem, a header of a table, a line or a summary of
# kenlm-query, a calibration.
OUTPUT_HEAD = re.compile(
    rb'\n*(?:\{"input":"(?:[^"\\]|\\.)*","line":\d+,"'
    rb"|input\tline\t|sentence_id\ttoken_id\ttoken\tsurprisal\n"
    rb"|(?:[^\t\n]+=\d+ \d+ \S+\t)+Total: \S+ OOV: \d+\n|Perplexity including OOVs:\t"
    rb'|\{\n "format_version": 1,\n "bundle": )'
)
# A file whose first bytes match only this may be an output; more of it decides.
POSSIBLE_HEAD = re.compile(rb'\n*(?:\{"input":"|[^\t\n]+=\d+ \d+ \S+\t|\n*\Z)')


def is_written_by_job(path: Path) -> bool:
    """Return whether the content of a file is that of an output. An empty file counts as one."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            with path.open("rb") as raw:  # pyarrow takes a name with a colon for a URI
                names = pyarrow.parquet.read_schema(raw).names
            return {"input", "line", "token_count"} <= set(names)
        with path.open("rb") as raw, compression.decompressed(raw, path) as file:
            head = file.read(FIRST_BYTES)
            if OUTPUT_HEAD.match(head) is None and POSSIBLE_HEAD.match(head):
                head += file.read(HEAD_BYTES)
    except (ImportError, JobError, OSError, ValueError):
        return False
    except _corruption_errors(path):
        return False
    return not head or OUTPUT_HEAD.match(head) is not None


def refuse_foreign_folder(path: Path, name: re.Pattern[str], *, check_content: bool) -> None:
    """Raise OutputError if `path` is a folder with an entry that no job wrote."""
    if path.is_symlink() or not path.is_dir():
        return
    for file in path.iterdir():
        ours = name.fullmatch(file.name) is not None and not file.is_symlink()
        if not ours or (check_content and not (file.is_file() and is_written_by_job(file))):
            raise OutputError(
                f"{path} is a folder with {file.name} in it, which no job wrote; nothing is "
                "removed. Give another OUTPUT, or remove it yourself"
            )


def read_state(path: Path) -> dict[str, Any] | None:
    """Return the content of a state file, or None if it is not one. Raises FileNotFoundError."""
    try:
        state = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError):
        return None
    return state if isinstance(state, dict) and {"version", "job"} <= state.keys() else None


def first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _corruption_errors(path: Path) -> tuple[type[Exception], ...]:
    try:
        return compression.corruption_errors(path)
    except JobError:  # the package is not installed
        return ()
