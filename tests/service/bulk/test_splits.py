"""The documents of all splits are those of the inputs, in order."""

import gzip
import itertools
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bulk.document import Position
from service.bulk.input import splits as module
from service.bulk.input.readers import Reader
from service.bulk.input.splits import split_inputs
from service.bulk.input.text_parser import Source


@given(
    lines=st.lists(st.text("ab é", max_size=30), max_size=60),
    size=st.integers(1, 300),
    form=st.sampled_from([".txt", ".txt.gz", ".jsonl", ".parquet"]),
)
def test_splits_together_are_the_inputs(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], size: int, form: str
) -> None:
    folder = tmp_path_factory.mktemp("splits")
    paths = [folder / f"{name}{form}" for name in "ab"]
    for path in paths:
        if form == ".parquet":
            table = pyarrow.table({"text": pyarrow.array(lines, pyarrow.string())})
            pyarrow.parquet.write_table(table, path, row_group_size=7)
            continue
        as_json = form == ".jsonl"
        content = "\n".join(json.dumps({"text": x}) if as_json else x for x in lines).encode()
        path.write_bytes(gzip.compress(content) if form == ".txt.gz" else content)
    source = Source(keep_empty=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "READ_BYTES", 16)
        found = split_inputs(paths, source, size)
    whole = [(r.source, r.line, r.text) for r in Reader(paths, source).documents(Position())]
    parts = [
        (r.source, r.line, r.text)
        for split in found
        for r in Reader(paths, source).documents(split.begin, split.end, one_input=True)
    ]
    assert parts == whole
    assert [split.index for split in found] == list(range(len(found)))


def test_a_large_input_has_several(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"some line\n" * 1_000_000)
    found = split_inputs([tmp_path / "a.txt"], Source(), 3_000_000)
    assert [split.begin.line for split in found] == sorted({s.begin.line for s in found})
    sizes = [b.begin.offset - a.begin.offset for a, b in itertools.pairwise(found)]
    assert all(3_000_000 <= size < 5_000_000 for size in sizes)
