"""What a job writes down so that it can be killed at any moment and go on: the state file.

A commit makes the output durable first and the state after it; the state replaces the one before
in one step. Whatever the output has beyond the state is cut off when the job goes on.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from service.bulk.inputs import is_stream
from service.bulk.options import Options
from service.bulk.record import Position
from service.bulk.tally import Tally
from service.errors import JobError

VERSION = 1
STREAM = "stream"
SAMPLES = 16
SAMPLE_BYTES = 1 << 16


@dataclass
class State:
    """`job` says what is done to what, so that no other job goes on from here. `output` is a
    length in bytes or a number of parts, `errors` a length in bytes.
    """

    job: dict[str, Any]
    stage: str = "score"
    position: Position = field(default_factory=Position)
    output: int = 0
    errors: int = 0
    tally: Tally = field(default_factory=Tally)

    @property
    def can_go_on(self) -> bool:
        """Whether the inputs can be read again, so that a job that was stopped can go on."""
        return not any(name.endswith(f" {STREAM}") for name in self.job["inputs"])

    def save(self, path: Path) -> None:
        """Write the state durably; nothing where a job cannot go on."""
        if not self.can_go_on:
            return
        content = {
            "version": VERSION,
            "job": self.job,
            "stage": self.stage,
            "position": asdict(self.position),
            "output": self.output,
            "errors": self.errors,
            "tally": self.tally.dump(),
        }
        replace(path, json.dumps(content).encode())

    @classmethod
    def load(cls, path: Path, job: dict[str, Any]) -> Self | None:
        """None where there is none. Raises JobError for the state of another job."""
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise JobError(f"{path}: not the state of a job: {error}") from None
        if content.pop("version", None) != VERSION:
            raise JobError(f"{path} is of another version; --overwrite begins anew")
        if content["job"] != job:
            changed = sorted(k for k in job.keys() | content["job"] if _differ(job, content, k))
            raise JobError(
                f"{path} is of another job: {', '.join(changed)} changed. Give what the job began "
                "with, or --overwrite to begin anew"
            )
        position = Position(**content.pop("position"))
        return cls(**{**content, "position": position, "tally": Tally.load(content["tally"])})


def identity(options: Options, bundle_hash: str) -> dict[str, Any]:
    """What decides the output of a job; as JSON gives it back."""
    job = {
        "bundle": bundle_hash,
        "inputs": [fingerprint(path) for path in options.inputs],
        "format": options.format,
        "columns": asdict(options.columns),
        "reading": asdict(options.source),
        "buckets": options.buckets,
        "calibration": options.calibration and fingerprint(options.calibration),
        "errors": options.errors and str(options.errors),
    }
    found: dict[str, Any] = json.loads(json.dumps(job))
    return found


def _differ(job: dict[str, Any], content: dict[str, Any], key: str) -> bool:
    return bool(job.get(key) != content["job"].get(key))


def replace(path: Path, content: bytes) -> None:
    """Write beside, make durable, rename."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def fingerprint(path: Path) -> str:
    """Of a file's size and of samples from all over it; a few milliseconds for any size.

    A stream has none, because it can be read only once. Raises JobError for a file that cannot be
    read.
    """
    try:
        if is_stream(path):
            return f"{path} {STREAM}"
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
    """Raises JobError where another process holds it, or its folder is not there."""
    try:
        with path.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield
            finally:
                path.unlink()
    except BlockingIOError:
        raise JobError(f"{path}: another job writes there") from None
    except FileNotFoundError:
        raise JobError(f"{path.parent}: no such folder") from None
