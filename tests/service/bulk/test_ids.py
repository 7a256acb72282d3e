"""Ids are copied: those of JSON verbatim, those of Parquet without loss."""

import json
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bulk.input import json_line
from service.bulk.input.json_line import dumps
from tests.support.bulk_job import Jobs, rows

NAMESPACE = uuid.UUID(int=5)
# Ids in an input line, and in the output.
IDS = {
    "100000000000000000001": "100000000000000000001",
    "100000000000000000002": "100000000000000000002",
    "-9223372036854775809": "-9223372036854775809",
    "18446744073709551616": "18446744073709551616",
    "9" * 5000: "9" * 5000,
    "1e400": "1e400",
    "0.1": "0.1",
    "0.10": "0.10",
    "1.0": "1.0",
    "1E5": "1E5",
    "-0": "-0",
    "-0.0": "-0.0",
    "0": "0",
    "0.1000000000000000055511151231257827": "0.1000000000000000055511151231257827",
    "[1.0, -0, [1e400]]": "[1.0,-0,[1e400]]",
    '{"a": 1.50, "a": "caf\\u00e9"}': '{"a":1.50,"a":"café"}',
    '{"id": 2.0}': '{"id":2.0}',
    '"\\ud800x"': '"\\ud800x"',
    '"a, \\"id\\": 3.0"': '"a, \\"id\\": 3.0"',
    "NaN": '"NaN"',
    "[-Infinity]": '["-Infinity"]',
    "true": "true",
    "null": "null",
    "7": "7",
    '"7"': '"7"',
    "[" * 300 + "]" * 300: "[" * 300 + "]" * 300,
}


def written(path: Path) -> list[str]:
    """Return the JSON text of the id of each row; the id is the third member."""
    lines = path.read_text(encoding="utf-8").splitlines()
    begin, end = '"id":', ',"token_count":'
    return [line[line.index(begin) + len(begin) : line.index(end)] for line in lines]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    lines = [f'{{"text": "The river", "id": {value}, "x": [1.5]}}\n' for value in IDS]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("more", [(), ("--buckets", "30,60")])
def test_ids_of_json_are_exact(
    jobs: Jobs, source: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    out = tmp_path / "out.jsonl"
    summary = jobs.summary(source, "--out", out, "--id", "id", *more)
    assert summary["problems"] == {}
    assert written(out) == list(IDS.values())


@pytest.mark.parametrize("odd", ["1e400", '"\\ud800"', "NaN", "9" * 5000])
def test_an_odd_id_changes_no_other_column(jobs: Jobs, tmp_path: Path, odd: str) -> None:
    for name, value in (("odd", odd), ("plain", "7")):
        (tmp_path / "in.jsonl").write_text(f'{{"id": {value}, "text": "The river"}}\n')
        out = tmp_path / f"{name}.jsonl"
        jobs.summary(tmp_path / "in.jsonl", "--out", out, "--id", "id", "--buckets", "30,60")
    plain = (tmp_path / "plain.jsonl").read_bytes()
    (exact,) = written(tmp_path / "odd.jsonl")
    assert (
        plain.replace(b'"id":7', f'"id":{exact}'.encode()) == (tmp_path / "odd.jsonl").read_bytes()
    )


def test_ids_of_json_are_exact_in_tables(jobs: Jobs, source: Path, tmp_path: Path) -> None:
    texts = [json.loads(v) if v[0] == '"' and "ud800" not in v else v for v in IDS.values()]
    jobs.summary(source, "--out", tmp_path / "out.parquet", "--id", "id")
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table["id"].to_pylist() == [None if text == "null" else text for text in texts]
    jobs.summary(source, "--out", tmp_path / "out.tsv", "--id", "id")
    lines = [line.split("\t") for line in (tmp_path / "out.tsv").read_text().split("\n")[1:-1]]
    cells = [json.loads(f'"{line[2]}"') for line in lines]
    assert cells == ["" if text == "null" else text for text in texts]


def test_ids_of_refused_documents_are_exact(jobs: Jobs, tmp_path: Path) -> None:
    lines = [f'{{"text": "", "id": {value}}}\n' for value in IDS if value != "null"]
    (tmp_path / "in.jsonl").write_text("".join(lines))
    out, errors = tmp_path / "out.jsonl", tmp_path / "errors.jsonl"
    jobs(tmp_path / "in.jsonl", "--out", out, "--id", "id", "--errors", errors)
    lines = errors.read_text(encoding="utf-8").splitlines()
    found = [line[line.index(',"id":') + 6 : -1] for line in lines]
    assert found == [value for given, value in IDS.items() if given != "null"]


def test_the_last_of_several_ids_counts(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": 1, "text": "a", "\\u0069d": 2.50, "x": {"id": 3.5}}')
    jobs.summary(tmp_path / "in.jsonl", "--out", tmp_path / "out.jsonl", "--id", "id")
    assert written(tmp_path / "out.jsonl") == ["2.50"]


def plain(value: Any) -> Any:
    """Return a value with numbers as tuples of their text, because 1.0 and 1 must differ."""
    return json.loads(json.dumps(value), parse_int=lambda n: (n,), parse_float=lambda n: (n,))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    members=st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=4),
    value=json_values.filter(lambda v: v not in (float("inf"), float("-inf"))),
    ascii_only=st.booleans(),
)
def test_any_value_of_json_is_the_same(
    members: dict[str, Any], value: Any, ascii_only: bool
) -> None:
    row = {**members, "key": value, "last": 1.0}
    try:
        line = json.dumps(row, ensure_ascii=ascii_only, allow_nan=False).encode()
    except (UnicodeEncodeError, ValueError):  # a lone surrogate or an infinity as they stand
        return
    found = dumps(json_line.exact(line, json_line.parse(line), "key")).decode()
    parsed = json.loads(found, parse_int=lambda n: (n,), parse_float=lambda n: (n,))
    assert parsed == plain(value)


COLUMNS: dict[str, tuple[Any, list[Any]]] = {
    "decimal": (
        pyarrow.array([Decimal("12345678901234567890.10"), None], pyarrow.decimal128(30, 2)),
        ["12345678901234567890.10", None],
    ),
    "binary": (pyarrow.array([b"key-1", b"\xff\x00"]), ["key-1", "\\xff\0"]),
    "fixed binary": (pyarrow.array([b"ab", None], pyarrow.binary(2)), ["ab", None]),
    "duration": (
        pyarrow.array([93_784_500_000_001, -1500], pyarrow.duration("ns")),
        ["PT93784.500000001S", "-PT0.0000015S"],
    ),
    "duration in seconds": (pyarrow.array([90, None], pyarrow.duration("s")), ["PT90S", None]),
    "timestamp[ns]": (
        pyarrow.array([1_700_000_000_123_456_789, -1], pyarrow.timestamp("ns")),
        ["2023-11-14T22:13:20.123456789", "1969-12-31T23:59:59.999999999"],
    ),
    "timestamp[ns] with a zone": (
        pyarrow.array([1_700_000_000_000_000_789, None], pyarrow.timestamp("ns", "Asia/Kolkata")),
        ["2023-11-15T03:43:20.000000789+05:30", None],
    ),
    "timestamp of an unknown zone": (
        pyarrow.array([1_700_000_000_000_000, None], pyarrow.timestamp("us", "Nowhere/City")),
        ["2023-11-14T22:13:20+00:00", None],
    ),
    "timestamp[us]": (
        pyarrow.array([datetime(2024, 2, 29, 1, 2, 3, 4, UTC)], pyarrow.timestamp("us", "UTC")),
        ["2024-02-29T01:02:03.000004+00:00"],
    ),
    "timestamp beyond the calendar": (
        pyarrow.array([10**18], pyarrow.timestamp("us")),
        ["1000000000000000000"],
    ),
    "date": (pyarrow.array([date(2024, 2, 29), None]), ["2024-02-29", None]),
    "date beyond the calendar": (pyarrow.array([10**7], pyarrow.date32()), ["29349-01-26"]),
    "time": (pyarrow.array([time(1, 2, 3, 4)]), ["01:02:03.000004"]),
    "time[ns]": (
        pyarrow.array([1501, 5], pyarrow.time64("ns")),
        ["00:00:00.000001501", "00:00:00.000000005"],
    ),
    "bool": (pyarrow.array([True, False, None]), [True, False, None]),
    "uint64": (pyarrow.array([2**64 - 1], pyarrow.uint64()), [2**64 - 1]),
    "float": (pyarrow.array([0.1, float("nan"), float("-inf")]), [0.1, "NaN", "-Infinity"]),
    "list": (pyarrow.array([[1, None], [], None]), [[1, None], [], None]),
    "list of decimals": (
        pyarrow.array([[Decimal("1.50")]], pyarrow.list_(pyarrow.decimal128(4, 2))),
        [["1.50"]],
    ),
    "struct": (
        pyarrow.array([{"a": b"\xff", "b": [1.5]}, None]),
        [{"a": "\\xff", "b": [1.5]}, None],
    ),
    "map": (
        pyarrow.array([[("k", 1)], None], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        [[["k", 1]], None],
    ),
    "dictionary": (pyarrow.array(["a", None, "b"]).dictionary_encode(), ["a", None, "b"]),
    "string_view": (pyarrow.array(["a", None], pyarrow.string_view()), ["a", None]),
    "uuid": (pyarrow.array([NAMESPACE.bytes], pyarrow.uuid()), [str(NAMESPACE)]),
    "null": (pyarrow.nulls(2), [None, None]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_ids_of_parquet_are_without_loss(jobs: Jobs, tmp_path: Path, name: str) -> None:
    column, expected = COLUMNS[name]
    table = pyarrow.table({"text": ["The river"] * len(column), "key": column})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    jobs.summary(tmp_path / "in.parquet", "--out", tmp_path / "out.jsonl", "--id", "key")
    assert [row["id"] for row in rows(tmp_path / "out.jsonl")] == expected
    jobs.summary(tmp_path / "in.parquet", "--out", tmp_path / "out.parquet", "--id", "key")
    found = pyarrow.parquet.read_table(tmp_path / "out.parquet")["id"].to_pylist()
    for text, value in zip(found, expected, strict=True):
        assert (
            text == value if value is None or isinstance(value, str) else json.loads(text) == value
        )


def test_ids_of_a_row_group_that_begins_later(jobs: Jobs, tmp_path: Path) -> None:
    keys = [[number] for number in range(700)]
    table = pyarrow.table({"text": ["The river"] * 700, "key": keys})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet", row_group_size=300)
    jobs.summary(tmp_path / "in.parquet", "--out", tmp_path / "out.jsonl", "--id", "key")
    assert [row["id"] for row in rows(tmp_path / "out.jsonl")] == keys


@pytest.mark.parametrize(
    "column",
    [
        pyarrow.array(["The river", None, "a", "a"]).dictionary_encode(),
        pyarrow.array(["The river", None, "a", "a"], pyarrow.string_view()),
        pyarrow.array(["The river", None, "a", "a"], pyarrow.large_string()),
        pyarrow.array(["The river", None, "a", "a"], pyarrow.large_string()).dictionary_encode(),
        pyarrow.array([b"The river", None, b"a", b"a"], pyarrow.binary()),
        pyarrow.array([b"The river", None, b"a", b"a"], pyarrow.binary_view()),
        pandas.Series(["The river", None, "a", "a"], dtype="category"),
    ],
    ids=lambda column: str(getattr(column, "type", "pandas category")),
)
def test_texts_of_parquet_of_every_type(jobs: Jobs, tmp_path: Path, column: Any) -> None:
    if isinstance(column, pandas.Series):
        column.to_frame("text").to_parquet(tmp_path / "in.parquet")
    else:
        pyarrow.parquet.write_table(pyarrow.table({"text": column}), tmp_path / "in.parquet")
    summary = jobs.summary(tmp_path / "in.parquet", "--out", tmp_path / "out.jsonl", "--text")
    assert [row["text"] for row in rows(tmp_path / "out.jsonl")] == ["The river", "a", "a"]
    assert summary["problems"] == {"null": 1}
    assert jobs.errors == f"warning: {tmp_path}/in.parquet, row 2: the column text is null\n"


def test_a_column_of_nothing_but_nulls(jobs: Jobs, tmp_path: Path) -> None:
    pandas.DataFrame({"text": [None, None]}).to_parquet(tmp_path / "a.parquet")
    pandas.DataFrame({"text": ["The river"]}).to_parquet(tmp_path / "b.parquet")
    summary = jobs.summary(tmp_path, "--out", tmp_path / "out.jsonl")
    assert summary["documents"] == 1
    assert summary["problems"] == {"null": 2}


def test_a_null_is_no_missing_field(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": null}\n{"body": "a"}\n{"text": "The river"}\n')
    errors = tmp_path / "errors.jsonl"
    jobs.summary(tmp_path / "in.jsonl", "--out", tmp_path / "out.jsonl", "--errors", errors)
    assert [(row["kind"], row["message"]) for row in rows(errors)] == [
        ("null", "the field text is null"),
        ("missing_field", "there is no field text"),
    ]
