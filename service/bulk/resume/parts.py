"""Finished parts of an output folder, each with a record of what it contains.

    OUTPUT.partial/part-00000.jsonl  part-00000.counts

A part is finished if both files exist. The record is written first, because a part must never be
counted without it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from service.bulk.resume.job_files import remove
from service.bulk.resume.ownership import ATTEMPT
from service.bulk.statistics import Statistics
from service.files.atomic import replace_durably, write_atomically

RECORD_SUFFIX = ".counts"


def part_name(index: int, suffix: str) -> str:
    return f"part-{index:05d}{suffix}"


@dataclass(frozen=True)
class PartRecord:
    """Statistics, lines of `--errors`, and the digest of the documents of a part."""

    statistics: Statistics
    errors: list[str]
    digest: str

    def to_json(self) -> bytes:
        content = {
            "tally": self.statistics.to_json(),
            "errors": self.errors,
            "digest": self.digest,
        }
        return json.dumps(content).encode()

    @classmethod
    def load(cls, path: Path) -> Self:
        content = json.loads(path.read_bytes())
        return cls(Statistics.from_json(content["tally"]), content["errors"], content["digest"])


class Part:
    """One part of an output folder, by its index."""

    def __init__(self, folder: Path, index: int, suffix: str) -> None:
        self.path = folder / part_name(index, suffix)
        self._record = folder / part_name(index, RECORD_SUFFIX)

    @property
    def is_finished(self) -> bool:
        return self.path.exists() and self._record.exists()

    def finish(self, written: Path, record: PartRecord) -> None:
        """Save the record, and rename `written`, which is complete and synced, to this part."""
        write_atomically(self._record, record.to_json())
        replace_durably(written, self.path)

    def record(self) -> PartRecord:
        return PartRecord.load(self._record)


def remove_all_but_parts(folder: Path) -> None:
    """Remove records, and attempts of workers that died, before the folder is published."""
    for path in (*folder.glob(f"*{RECORD_SUFFIX}"), *folder.glob(f"{ATTEMPT}*")):
        remove(path)
