"""Identity of a job: the options, the bundle and the inputs that decide its output.

A job continues only from the state of a job with the same identity. `DocumentDigest` covers every
byte that was read; `fingerprint` covers samples of all inputs, which takes milliseconds.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from service.bulk.document import Document
from service.bulk.options import JobOptions, ScoringOptions
from service.bulk.output.rows import Columns
from service.errors import JobError
from service.files.streams import is_stream

SAMPLES = 16
SAMPLE_BYTES = 1 << 16


class DocumentDigest:
    """A running digest of documents: equal if the same documents have the same places.

    It reveals any change of the inputs when a job is resumed, however small the change is.
    """

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, documents: Iterable[Document]) -> None:
        for document in documents:
            problem = document.problem and document.problem.kind
            head = f"{document.source} {document.line} {document.size} {problem} {document.id!r} "
            text = document.text.encode("utf-8", "surrogatepass")
            self._hash.update(f"{len(text)} {len(head)} {head}".encode("utf-8", "surrogatepass"))
            self._hash.update(text)

    @property
    def value(self) -> str:
        return self._hash.hexdigest()


def job_identity(options: JobOptions, bundle_hash: str) -> dict[str, Any]:
    """Return everything that decides the output of a job, as values that JSON restores."""
    scoring = options if isinstance(options, ScoringOptions) else None
    calibration = scoring and scoring.calibration
    identity = {
        "bundle": bundle_hash,
        "inputs": [fingerprint(path) for path in options.inputs],
        "format": scoring and scoring.format,
        "columns": asdict(scoring.columns if scoring else Columns()),
        "reading": asdict(options.source),
        "keep_rows": scoring is not None and scoring.keep_rows,
        "buckets": scoring and scoring.buckets,
        "calibration": calibration and fingerprint(calibration),
        "errors": options.errors and str(options.errors),
    }
    restored: dict[str, Any] = json.loads(json.dumps(identity))
    return restored


def describe_change(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Return the names of the entries that differ, and the first input that does."""
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    first = _first_changed_input(old.get("inputs"), new["inputs"]) if "inputs" in changed else ""
    return f"{', '.join(changed)} changed" + (f" ({first})" if first else "")


def _first_changed_input(before: list[str] | None, now: list[str]) -> str:
    old, new = ({e.rsplit(" ", 2)[0]: e for e in entries} for entries in (before or [], now))
    for name in new | old:
        if name not in old:
            return f"{name} is new"
        if name not in new:
            return f"{name} is gone"
        if old[name] != new[name]:
            return f"{name} has other content"
    return "another order"


def fingerprint(path: Path) -> str:
    """Return the path and size of a file with a digest of samples from all over it.

    A stream has no digest. Raises JobError for a file that cannot be read.
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
