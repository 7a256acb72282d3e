"""Readers of every kind of input; reading can start after any document."""

import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from service.bulk.document import BLOCK_BYTES, BLOCK_DOCUMENTS, Document, Position, blocks
from service.bulk.input.json_line import JsonText
from service.bulk.input.parquet import BATCH_ROWS
from service.bulk.input.readers import Reader
from service.bulk.input.text_parser import Source
from service.errors import JobError

SMALL = Source(max_bytes=20)
DOCUMENT_LISTS = st.lists(
    st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=9)
)


def read(path: Path, source: Source = SMALL, begin: Position | None = None) -> list[Document]:
    return list(Reader([path], source).documents(begin or Position()))


def texts_or_kinds(documents: list[Document]) -> list[str]:
    """Return the text of each document, or the kind of its problem in brackets."""
    return [f"[{r.problem.kind}]" if r.problem else r.text for r in documents]


def write(path: Path, content: bytes) -> Path:
    if path.suffix == ".gz":
        content = gzip.compress(content[:9]) + gzip.compress(content[9:])
    if path.suffix == ".zst":
        pack = zstandard.ZstdCompressor().compress
        content = pack(content[:9]) + pack(content[9:])
    path.write_bytes(content)
    return path


def table(path: Path, column: "pyarrow.Array", **others: list[object]) -> Path:
    pyarrow.parquet.write_table(
        pyarrow.table({"text": column, **others}), path, row_group_size=BATCH_ROWS + 7
    )
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.zst", "no-suffix"])
def test_a_document_is_a_line(tmp_path: Path, name: str) -> None:
    content = b"\xef\xbb\xbfone\r\ntwo \n\n \t\nbad \xff\n" + b"x" * 21 + "\nsechs é\nlast".encode()
    documents = read(write(tmp_path / name, content))
    assert texts_or_kinds(documents) == [
        *("one", "two ", "[empty]", "[empty]", "[invalid_utf8]", "[too_long]", "sechs é", "last")
    ]
    assert [document.line for document in documents] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert documents[4].problem is not None
    assert documents[4].problem.message == "not UTF-8, from byte 5 of the document on"


def test_empty_documents_are_kept_on_request(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"\n \na\n")
    assert texts_or_kinds(read(path, Source(keep_empty=True))) == ["", " ", "a"]


def test_a_line_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    lines = [b"x" * length for length in (19, 20, 21, 22, 23, 70_000, 20)]
    found = texts_or_kinds(read(write(tmp_path / "a.txt", b"\n".join(lines))))
    assert found == ["x" * 19, "x" * 20, *["[too_long]"] * 4, "x" * 20]
    found = texts_or_kinds(read(write(tmp_path / "a.txt", b"\r\n".join(lines))))
    assert found == ["x" * 19, "x" * 20, *["[too_long]"] * 4, "x" * 20]


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        '{"body": "a\\nb", "key": 7}',
        '{"body": "unended',
        "[1]",
        '{"key": 7}',
        '{"body": null}',
        '{"body": 5}',
        '{"body": ""}',
        '{"body": "\\ud800"}',
        "",
        '{"body": "z", "key": [1]}',
    ]
    path = write(tmp_path / "a.jsonl.gz", "\n".join(lines).encode())
    documents = read(path, Source(field="body", id_field="key"))
    assert texts_or_kinds(documents) == [
        *("a\nb", "[invalid_json]", "[invalid_json]", "[missing_field]", "[null]"),
        *("[not_text]", "[empty]", "[invalid_json]", "[invalid_json]", "z"),
    ]
    assert [document.id for document in documents][:4] == [7, None, None, 7]
    assert documents[-1].id == JsonText("[1]")


@pytest.mark.parametrize("kind", ["string", "large_string", "binary", "large_binary"])
def test_parquet(tmp_path: Path, kind: str) -> None:
    texts = [f"text {n}" for n in range(700)]
    column = pyarrow.array([*texts, None, "", "x" * 21], getattr(pyarrow, kind)())
    path = table(tmp_path / "a.parquet", column, key=list(range(703)))
    documents = read(path, Source(id_field="key", max_bytes=20))
    assert texts_or_kinds(documents) == [*texts, "[null]", "[empty]", "[too_long]"]
    assert [document.id for document in documents] == list(range(703))
    assert [document.line for document in documents] == list(range(1, 704))


def test_invalid_utf8_in_parquet_is_a_problem(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", pyarrow.array([b"a", b"\xff"], pyarrow.binary()))
    assert texts_or_kinds(read(path)) == ["a", "[invalid_utf8]"]


def test_columns_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", pyarrow.array([1, 2]))
    with pytest.raises(JobError, match="the column text is int64, not text"):
        read(path)
    with pytest.raises(JobError, match="no column body; its columns are text"):
        read(path, Source(field="body"))
    with pytest.raises(JobError, match="not Parquet"):
        read(write(tmp_path / "b.parquet", b"text"))


def test_a_document_is_a_file(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.txt", b"line %d\nline\n" % n) for n in range(3)]
    paths[1] = write(tmp_path / "1.txt", b"x" * 21)
    documents = list(Reader(paths, Source(kind="file", max_bytes=20)).documents(Position()))
    assert texts_or_kinds(documents) == ["line 0\nline", "[too_long]", "line 2\nline"]
    assert [document.source for document in documents] == [str(path) for path in paths]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_corruption_is_reported_with_its_line(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.txt{suffix}", b"one line\nthen another\n" * 900)
    path.write_bytes(path.read_bytes()[:-9] if suffix == ".gz" else path.read_bytes() + b"x" * 40)
    with pytest.raises(JobError, match=r"after line \d+: the file is damaged"):
        read(path, Source())


@given(
    several=st.lists(DOCUMENT_LISTS, min_size=1, max_size=3),
    form=st.sampled_from([".txt", ".txt.gz", ".jsonl.zst", ".parquet"]),
    data=st.data(),
)
def test_reading_continues_after_any_document(
    tmp_path_factory: pytest.TempPathFactory,
    several: list[list[str]],
    form: str,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("inputs")
    paths = []
    for number, lines in enumerate(several):
        path = folder / f"{number}{form}"
        if form == ".parquet":
            table(path, pyarrow.array(lines, pyarrow.string()))
        else:
            as_json = form == ".jsonl.zst"
            given_lines = [json.dumps({"text": line}) if as_json else line for line in lines]
            write(path, "".join(f"{line}\n" for line in given_lines).encode())
        paths.append(path)
    source = Source(keep_empty=True)
    whole = list(Reader(paths, source).documents(Position()))
    expected = [line for lines in several for line in lines]
    if form.startswith(".txt"):  # a byte order mark at the start of a file is not text
        assert len(whole) == len(expected)
    else:
        assert [document.text for document in whole] == expected
    assert [document.number for document in whole] == list(range(1, len(whole) + 1))
    if whole:
        at = data.draw(st.integers(0, len(whole) - 1))
        assert list(Reader(paths, source).documents(whole[at].end)) == whole[at + 1 :]


def test_bytes_read_are_bytes_on_the_disk(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.txt.gz", b"some line\n" * 500) for n in range(2)]
    reader = Reader(paths, Source())
    first, second = (path.stat().st_size for path in paths)
    seen = [reader.bytes_read for _ in reader.documents(Position())]
    assert seen == sorted(seen)
    assert first <= seen[501] <= reader.bytes_read == first + second


@given(sizes=st.lists(st.integers(0, BLOCK_BYTES // 3), max_size=30))
def test_blocks_from_a_blocks_end_are_the_same(sizes: list[int]) -> None:
    documents = [
        Document("", n, n, "", None, None, size, Position(0, n, n, n))
        for n, size in enumerate(sizes, 1)
    ]
    whole = list(blocks(documents))
    assert [document for block in whole for document in block.documents] == documents
    for number, block in enumerate(whole):
        assert list(blocks(documents[block.end.documents :])) == whole[number + 1 :]
        size = sum(document.size for document in block.documents)
        assert size - block.documents[-1].size < BLOCK_BYTES


def test_a_block_has_a_maximum_of_documents() -> None:
    documents = [
        Document("", n, n, "", None, None, 1, Position()) for n in range(BLOCK_DOCUMENTS + 1)
    ]
    assert [len(block.documents) for block in blocks(documents)] == [BLOCK_DOCUMENTS, 1]
