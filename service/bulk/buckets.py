"""Head, middle and tail, as CCNet calls them (Wenzek et al. 2020): documents by two percentiles of
their mean cross-entropy, and the second stage of a job that has to know all of them first.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from service.bulk.document import BLOCK_BYTES, BLOCK_RECORDS, Position
from service.bulk.input import json_line
from service.bulk.job_state import JobState
from service.bulk.output.formats import Row
from service.bulk.output.writers import Sink
from service.results.calibration import Calibration
from service.scoring import NATS_IN


@dataclass(frozen=True, slots=True)
class Buckets:
    """By two percentiles of `table`, which is None where no document was scored; rows have their
    figures in `unit`.
    """

    table: Calibration | None
    percentiles: tuple[float, float]
    unit: str

    def add(self, row: Row) -> Row:
        """Return the row with its `bucket`: head is the least surprising, and null is a row without
        a score.
        """
        low, high = self.percentiles
        if row["mean_cross_entropy"] is None:
            row["bucket"] = None
            return row
        assert self.table is not None
        percentile = self.table.percentile(row["mean_cross_entropy"] / NATS_IN[self.unit])
        assert percentile is not None
        row["bucket"] = "head" if percentile < low else "middle" if percentile < high else "tail"
        return row


def second_stage(
    scored: Path, sink: Sink, buckets: Buckets, state: JobState, save_to: Path
) -> None:
    """Rows that wait in `scored` go to `sink` with their bucket, from `state.position` on."""
    position = state.position
    for rows, position in _blocks(scored, state.position):
        sink.write([buckets.add(row) for row in rows])
        committed = sink.commit(False)
        if committed is not None:
            state.output, state.position = committed, position
            state.save(save_to)
    sink.commit(True)


def _row(line: bytes) -> Row:
    row: Row = json_line.parse(line)
    if "id" in row:
        row["id"] = json_line.exact(line, row, "id")
    return row


def _blocks(path: Path, begin: Position) -> Iterator[tuple[list[Row], Position]]:
    with path.open("rb") as file:
        file.seek(begin.offset)
        offset, rows, size = begin.offset, [], 0
        for line in file:
            rows.append(_row(line))
            offset, size = offset + len(line), size + len(line)
            if len(rows) == BLOCK_RECORDS or size >= BLOCK_BYTES:
                yield rows, replace(begin, offset=offset)
                rows, size = [], 0
        if rows:
            yield rows, replace(begin, offset=offset)
