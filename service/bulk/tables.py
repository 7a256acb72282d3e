"""Rows of Parquet files, a batch at a time. pyarrow is imported when one is read or written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.errors import JobError

BATCH_ROWS = 256


def pyarrow(path: Path) -> Any:
    """The modules pyarrow and pyarrow.parquet. Raises JobError where they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        hint = 'in the clone of tiedlm: pip install ".[bulk]"'
        raise JobError(f"{path}: Parquet needs pyarrow; {hint}") from None
    return pyarrow


def rows(
    path: Path, column: str, id_column: str | None, begin: int, end: int | None
) -> Iterator[tuple[bytes | None, Any, float]]:
    """Bytes of `column`, the value of `id_column`, and the share of the file read by then, from row
    `begin` up to row `end`. Raises JobError for a file or a column that is not as it must be.
    """
    pa = pyarrow(path)
    try:
        file = pa.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    except pa.ArrowInvalid as error:
        raise JobError(f"{path}: not Parquet: {error}") from None
    with file:
        names = _columns(pa, path, file.schema_arrow, column, id_column)
        total = file.metadata.num_rows
        row = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if row + count <= begin:
                row += count
                continue
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=names):
                texts = batch.column(column)
                binary = pa.large_binary() if "large" in str(texts.type) else pa.binary()
                ids = batch.column(id_column).to_pylist() if id_column else [None] * len(texts)
                for value, given_id in zip(texts.cast(binary).to_pylist(), ids, strict=True):
                    if end is not None and row >= end:
                        return
                    row += 1
                    if row > begin:
                        yield value, given_id, row / total


def groups(path: Path) -> list[int]:
    """How many rows each row group of a file has."""
    with pyarrow(path).parquet.ParquetFile(path) as file:
        return [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]


def _columns(pa: Any, path: Path, schema: Any, column: str, id_column: str | None) -> list[str]:
    names = [column] if id_column in (None, column) else [column, str(id_column)]
    for name in names:
        if name not in schema.names:
            known = ", ".join(schema.names)
            raise JobError(f"{path}: no column {name}; its columns are {known}")
    kind = schema.field(column).type
    texts = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
    if kind not in texts:
        raise JobError(f"{path}: the column {column} is {kind}, not text")
    return names
