"""The state file: what a job writes down so that it can be killed at any moment and go on.

A commit makes the output durable first and the state after it; the state replaces the one before
in one step. Whatever the output has beyond the state is cut off when the job goes on.
"""

import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from service.bulk.document import Document, Position
from service.bulk.job_files import LOCK
from service.bulk.options import Options
from service.bulk.statistics import Statistics
from service.errors import JobError, OutputError
from service.files.outputs import is_stream, open_beside, write_whole

VERSION = 2
LOCK_BYTES = 64
SAMPLES = 16
SAMPLE_BYTES = 1 << 16


class Digest:
    """A running digest of records: equal where the same documents stand in the same places.

    A changed input is noticed by it when a job goes on, however small the change is.
    """

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, records: Iterable[Document]) -> None:
        for record in records:
            problem = record.problem and record.problem.kind
            head = f"{record.source} {record.line} {record.size} {problem} {record.id!r} "
            text = record.text.encode("utf-8", "surrogatepass")
            self._hash.update(f"{len(text)} {len(head)} {head}".encode("utf-8", "surrogatepass"))
            self._hash.update(text)

    @property
    def value(self) -> str:
        return self._hash.hexdigest()


@dataclass
class JobState:
    """`job` says what is done to what, so that no other job goes on from here. `output` is a
    length in bytes or a number of parts, `errors` a length in bytes; `digest` is that of all
    records up to `position`.
    """

    job: dict[str, Any]
    stage: str = "score"
    position: Position = field(default_factory=Position)
    digest: str = ""
    output: int = 0
    errors: int = 0
    tally: Statistics = field(default_factory=Statistics)

    def save(self, path: Path) -> None:
        content = {
            "version": VERSION,
            "job": self.job,
            "stage": self.stage,
            "position": asdict(self.position),
            "digest": self.digest,
            "output": self.output,
            "errors": self.errors,
            "tally": self.tally.dump(),
        }
        write_whole(path, json.dumps(content).encode(), path.with_name(path.name + ".new"))

    @classmethod
    def load(cls, path: Path, job: dict[str, Any]) -> Self | None:
        """Return None where there is no state, or that of another job that committed nothing.

        Raises JobError for the state of another job.
        """
        try:
            content = json.loads(path.read_bytes())
            version = content.pop("version", None)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
            raise JobError(f"{path} is not the state of a job: {error}") from None
        if version != VERSION:
            raise JobError(f"{path} is of another version; --overwrite begins again")
        if content["job"] != job:
            if _is_untouched(content):
                return None
            changed = sorted(k for k in job.keys() | content["job"] if _differ(job, content, k))
            first = _first_changed(content["job"].get("inputs"), job["inputs"])
            where = f" ({first})" if "inputs" in changed and first else ""
            raise JobError(
                f"{path} is of another job: {', '.join(changed)} changed{where}. Repeat the first "
                "command, or begin again with --overwrite"
            )
        position = Position(**content.pop("position"))
        return cls(**{**content, "position": position, "tally": Statistics.load(content["tally"])})


def identity(options: Options, bundle_hash: str) -> dict[str, Any]:
    """Return what decides the output of a job, as JSON gives it back."""
    job = {
        "bundle": bundle_hash,
        "inputs": [fingerprint(path) for path in options.inputs],
        "format": options.format,
        "columns": asdict(options.columns),
        "reading": asdict(options.source),
        "keep_rows": options.keep_rows,
        "buckets": options.buckets,
        "calibration": options.calibration and fingerprint(options.calibration),
        "errors": options.errors and str(options.errors),
    }
    found: dict[str, Any] = json.loads(json.dumps(job))
    return found


def _is_untouched(content: dict[str, Any]) -> bool:
    """Return whether nothing is lost without this state. That of `--engine ray` does not say."""
    begun = content["stage"] == "score" and content["position"] == asdict(Position())
    return begun and "engine" not in content["job"]


def _differ(job: dict[str, Any], content: dict[str, Any], key: str) -> bool:
    return bool(job.get(key) != content["job"].get(key))


def _first_changed(before: list[str] | None, now: list[str]) -> str:
    """Return the name of the first input that is not as it was, and what is different about it."""
    before = before or []
    old, new = ({entry.rsplit(" ", 2)[0]: entry for entry in entries} for entries in (before, now))
    for name in new | old:
        if old.get(name) != new.get(name):
            how = (
                "is new"
                if name not in old
                else "is gone"
                if name not in new
                else "has other content"
            )
            return f"{name} {how}"
    return "another order"


def fingerprint(path: Path) -> str:
    """Return a digest of a file's size and of samples from all over it, which takes a few
    milliseconds for any size. What was read of it has a digest of its own: see `Digest`.

    A stream has none. Raises JobError for a file that cannot be read.
    """
    try:
        if is_stream(path):
            return f"{path} stream"
        size = path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with path.open("rb") as file:
            for sample in range(SAMPLES):
                file.seek(max(0, size - SAMPLE_BYTES) * sample // (SAMPLES - 1))
                digest.update(file.read(SAMPLE_BYTES))
    except OSError as error:
        raise JobError(f"{path}: {error.strerror or error}") from None
    return f"{path} {size} {digest.hexdigest()[:32]}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file for one process. Raises JobError where another process holds it or its
    folder is not there, and OutputError for a link or a file that is not a lock.

    The file is removed afterwards if it has this process's number. An empty file that was there may
    be of another program, so that it is locked, but neither written nor removed.
    """
    try:
        file = _lock(path)
    except BlockingIOError:
        raise JobError(f"{path}: another job writes there") from None
    except FileNotFoundError:
        raise JobError(f"{path.parent}: no such folder") from None
    with file:
        try:
            yield
        finally:
            file.seek(0)
            if file.read(LOCK_BYTES) == _own_lock() and _is_at(path, file):
                path.unlink(missing_ok=True)


def _lock(path: Path) -> IO[bytes]:
    while True:
        try:
            file, made = _open_lock(path)
        except FileNotFoundError:
            if path.parent.is_dir():
                continue  # the job that held the lock has just removed it
            raise
        try:
            head = file.read(LOCK_BYTES)
            if head and not LOCK.fullmatch(head):
                raise OutputError(f"{path} is not a lock of a job; remove it")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The job that held the lock may have removed the file after it was opened here.
            if _is_at(path, file):
                if made or head:
                    file.seek(0)
                    file.truncate()
                    file.write(_own_lock())
                    file.flush()
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _open_lock(path: Path) -> tuple[IO[bytes], bool]:
    """Return the file, and whether it was made here."""
    try:
        return open_beside(path, "x+b"), True
    except FileExistsError:
        pass
    try:
        return open_beside(path, "r+b"), False
    except io.UnsupportedOperation:  # a FIFO
        raise OutputError(f"{path} is not a regular file; remove it") from None


def _is_at(path: Path, file: IO[bytes]) -> bool:
    return os.path.lexists(path) and os.path.samestat(os.fstat(file.fileno()), path.lstat())


def _own_lock() -> bytes:
    return f"tiedlm job {os.getpid()}\n".encode()
