"""Parquet output: a folder of parts, with a row group for each block."""

from pathlib import Path
from typing import IO, Any, Self

from service.bulk.input.json_line import as_text
from service.bulk.input.parquet import pyarrow
from service.bulk.output.rows import COUNTS, TEXTS, Columns, Row
from service.bulk.resume.job_files import remove
from service.bulk.resume.ownership import UNFINISHED_PART
from service.bulk.resume.parts import part_name
from service.errors import JobError, OutputError
from service.files.atomic import replace_durably, sync_file

BLOCKS_PER_PART = 64


class ParquetFile:
    """One Parquet file. It is complete and durable after `commit`."""

    def __init__(self, file: IO[bytes], writer: Any, pa: Any, schema: Any) -> None:
        self._file = file
        self._writer = writer
        self._pa = pa
        self._schema = schema

    @classmethod
    def open(cls, path: Path, columns: Columns, subword: bool) -> Self:
        pa = pyarrow(path)
        schema = make_schema(pa, columns, subword)
        # The file is opened here, because pyarrow takes a name with a colon for a URI, and only
        # names in UTF-8.
        file = path.open("wb")
        writer = pa.parquet.ParquetWriter(file, schema, compression="zstd")
        return cls(file, writer, pa, schema)

    def write(self, payload: list[Row]) -> None:
        for row in payload:
            if "id" in row:
                row["id"] = as_text(row["id"])
        if payload:
            self._writer.write_table(self._pa.Table.from_pylist(payload, self._schema))

    def commit(self, last: bool) -> int | None:
        if not last:
            return None
        self._writer.close()
        sync_file(self._file)
        return 1

    def close(self) -> None:
        try:
            self._writer.close()
        finally:
            self._file.close()


class ParquetWriter:
    """A folder of `part-00000.parquet` and so on.

    Each part has the same number of blocks, so that a part that is begun again has the same bytes.
    Its committed length is the number of its parts.
    """

    def __init__(self, folder: Path, part_count: int, columns: Columns, subword: bool) -> None:
        self._folder = folder
        self._part_count = part_count
        self._columns = columns
        self._subword = subword
        self._block_count = 0
        self._part: ParquetFile | None = None

    @classmethod
    def open(cls, folder: Path, at: int, columns: Columns, subword: bool) -> Self:
        """Open a folder after its first `at` parts, and remove the others.

        Raises JobError if one of these parts is missing, OutputError if the folder is a link.
        """
        if folder.is_symlink():
            raise OutputError(f"{folder} is a symbolic link; remove it")
        folder.mkdir(exist_ok=True)
        committed = {part_name(index, ".parquet") for index in range(at)}
        for file in folder.iterdir():
            if file.name not in committed and UNFINISHED_PART.fullmatch(file.name):
                remove(file)
        missing = sorted(name for name in committed if not (folder / name).is_file())
        if missing:
            raise JobError(f"{folder / missing[0]} is missing; use --overwrite to start again")
        return cls(folder, at, columns, subword)

    def write(self, payload: list[Row]) -> None:
        if self._part is None:
            self._part = ParquetFile.open(self._unfinished, self._columns, self._subword)
        self._part.write(payload)
        self._block_count += 1

    def commit(self, last: bool) -> int | None:
        if not last and self._block_count < BLOCKS_PER_PART:
            return None
        if self._part is None and not self._part_count:  # without rows, one part has the columns
            self.write([])
        if self._part is not None:
            self._part.commit(last=True)
            self._part.close()
            self._part = None
            replace_durably(self._unfinished, self._folder / self._name)
            self._part_count += 1
        self._block_count = 0
        return self._part_count

    def close(self) -> None:
        if self._part is not None:
            self._part.close()

    @property
    def _name(self) -> str:
        return part_name(self._part_count, ".parquet")

    @property
    def _unfinished(self) -> Path:
        return self._folder / f".{self._name}"


def make_schema(pa: Any, columns: Columns, subword: bool) -> Any:
    """Return the schema of rows. Ids are text; an id that is not a string is written as JSON."""

    def kind(name: str) -> Any:
        return pa.string() if name in TEXTS else pa.int64() if name in COUNTS else pa.float64()

    fields = [(name, kind(name)) for name in columns.names]
    if columns.tokens:
        figures = [("logprob", pa.float64()), ("cross_entropy", pa.float64())]
        text, span = ("text", pa.string()), [("start", pa.int64()), ("end", pa.int64())]
        names = [("id", pa.int64()), text, ("surface", pa.string())]
        token = pa.struct([*names, *span, *figures, ("oov", pa.bool_())])
        fields.append(("tokens", pa.list_(token)))
        if subword:
            word = pa.struct([text, *span, *figures, ("token_count", pa.int64())])
            fields.append(("words", pa.list_(word)))
    return pa.schema(fields)
