"""Head, middle and tail, as in CCNet (Wenzek et al. 2020): documents between two percentiles of
their mean cross-entropy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from service.bulk.document import Position, is_full
from service.bulk.output.rows import Row, decode_json_line
from service.results.calibration import Calibration
from service.scoring import NATS_IN


@dataclass(frozen=True, slots=True)
class Buckets:
    """Buckets by two percentiles of `table`, for rows with cross-entropies in `unit`.

    `table` is None if no document was scored.
    """

    table: Calibration | None
    percentiles: tuple[float, float]
    unit: str

    def add_to(self, row: Row) -> Row:
        """Return the row with its `bucket`, null for a row of nulls. Head is least surprising."""
        low, high = self.percentiles
        if row["mean_cross_entropy"] is None:
            row["bucket"] = None
            return row
        assert self.table is not None
        percentile = self.table.percentile(row["mean_cross_entropy"] / NATS_IN[self.unit])
        assert percentile is not None
        row["bucket"] = "head" if percentile < low else "middle" if percentile < high else "tail"
        return row


def read_scored_rows(path: Path, begin: Position) -> Iterator[tuple[list[Row], Position]]:
    """Yield the rows of a file of JSON lines in blocks, each with the position after it."""
    with path.open("rb") as file:
        file.seek(begin.offset)
        offset, rows, size = begin.offset, list[Row](), 0
        for line in file:
            rows.append(decode_json_line(line))
            offset, size = offset + len(line), size + len(line)
            if is_full(len(rows), size):
                yield rows, replace(begin, offset=offset)
                rows, size = [], 0
        if rows:
            yield rows, replace(begin, offset=offset)
