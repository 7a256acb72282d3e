"""Rows of Parquet files, read in batches. pyarrow is imported when a file is read or written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.bulk.input.json_line import Id
from service.bulk.input.parquet_ids import as_bytes, ids, is_text
from service.errors import JobError
from service.files.streams import is_stream

BATCH_ROWS = 256


def pyarrow(path: Path) -> Any:
    """Return pyarrow with pyarrow.parquet. Raises JobError if they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        hint = 'in the clone of tiedlm: pip install ".[bulk]"'
        raise JobError(f"{path}: Parquet needs pyarrow; {hint}") from None
    return pyarrow


def rows(
    path: Path, column: str, id_column: str | None, begin: int, end: int | None
) -> Iterator[tuple[bytes | None, Id, float]]:
    """Yield rows from `begin` up to `end`: the bytes of `column`, the value of `id_column`, and the
    share of the file that has been read.

    If several columns have the same name, the first is read. Raises JobError for a file or a column
    that cannot be read.
    """
    pa = pyarrow(path)
    row = 0
    with _open(pa, path) as file:
        total = file.metadata.num_rows
        try:
            names = _columns(pa, path, file.schema_arrow, column, id_column) if total else []
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                if row + count <= begin:
                    row += count
                    continue
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=names):
                    texts = as_bytes(pa, _first(batch, column)).to_pylist()
                    row_ids = (
                        ids(pa, _first(batch, id_column)) if id_column else [None] * len(texts)
                    )
                    for value, row_id in zip(texts, row_ids, strict=True):
                        if end is not None and row >= end:
                            return
                        row += 1
                        if row > begin:
                            yield value, row_id, row / total
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if _is_system_error(error):
                raise
            raise JobError(
                f"{path}, after row {row}: the file is damaged, or uses a feature that this "
                f"pyarrow cannot read: {_one_line(error)}"
            ) from None


def row_group_sizes(path: Path) -> list[int]:
    """Return the number of rows of each row group of a file. Raises JobError."""
    with _open(pyarrow(path), path) as file:
        return [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]


@contextmanager
def _open(pa: Any, path: Path) -> Iterator[Any]:
    """Open a file here and not in pyarrow, because pyarrow takes only names in UTF-8."""
    try:
        if is_stream(path):
            raise JobError(f"{path}: Parquet cannot be read from a pipe; write it to a file first")
        with path.open("rb") as raw:
            try:
                file = pa.parquet.ParquetFile(
                    raw, pre_buffer=False, buffer_size=1 << 20, page_checksum_verification=True
                )
            except (pa.ArrowException, OSError) as error:
                if _is_system_error(error):
                    raise
                raise JobError(f"{path}: not Parquet: {_one_line(error)}") from None
            with file:
                yield file
    except OSError as error:
        raise JobError(f"{path}: {error.strerror or _one_line(error)}") from None


def _columns(pa: Any, path: Path, schema: Any, column: str, id_column: str | None) -> list[str]:
    names = [column] if id_column in (None, column) else [column, str(id_column)]
    for name in names:
        if name not in schema.names:
            existing = ", ".join(schema.names)
            columns = f"its columns are {existing}" if existing else "it has no columns"
            raise JobError(f"{path}: no column {name}; {columns}")
    kind = schema.types[schema.names.index(column)]
    if not is_text(pa, kind):
        raise JobError(f"{path}: the column {column} is {kind}, not text")
    return names


def _first(batch: Any, name: str) -> Any:
    return batch.column(batch.schema.names.index(name))


def _is_system_error(error: Exception) -> bool:
    """Return whether the disk failed. pyarrow raises OSError for corrupt content as well."""
    return isinstance(error, OSError) and error.errno is not None


def _one_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
