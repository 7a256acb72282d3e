import gzip
import hashlib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.tiny_training import write_corpus
from train.data import source as module
from train.data.source import Source, cut
from train.data.splits import find_splits
from train.errors import CorpusError


def read_all(data: Path) -> dict[str, list[str]]:
    return {split: list(source.lines()) for split, source in find_splits(data)[0].items()}


def test_the_three_layouts_hold_the_same_text(tmp_path: Path) -> None:
    plain = write_corpus(tmp_path / "plain")
    zipped, folders = tmp_path / "zipped", tmp_path / "folders"
    zipped.mkdir()
    for split in ("train", "valid", "test"):
        text = (plain / f"{split}.txt").read_bytes()
        (zipped / f"{split}.txt.gz").write_bytes(gzip.compress(text))
        half = text.index(b"\n", len(text) // 2) + 1
        (folders / split / "b").mkdir(parents=True)
        (folders / split / "a.txt").write_bytes(text[:half])
        (folders / split / "b" / "c.txt.gz").write_bytes(gzip.compress(text[half:]))
        (folders / split / "notes.md").write_bytes(b"\x00 no text")
    expected = {
        split: (plain / f"{split}.txt").read_text(encoding="utf-8").splitlines()
        for split in ("train", "valid", "test")
    }
    assert read_all(plain) == read_all(zipped) == read_all(folders) == expected
    assert str(plain) in find_splits(plain)[1]


@pytest.mark.parametrize(("count", "held_out"), [(3, 1), (20, 1), (21, 2), (100, 5), (101, 6)])
def test_last_tenth_of_undivided_text_is_held_out(
    tmp_path: Path, count: int, held_out: int
) -> None:
    lines = [f"line {index}" for index in range(count)]
    (tmp_path / "a.txt").write_text("\n".join(lines[: count // 2]) + "\n", encoding="utf-8")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "rest.txt").write_text("\n".join(lines[count // 2 :]), encoding="utf-8")
    assert read_all(tmp_path) == {
        "train": lines[: -2 * held_out],
        "valid": lines[-2 * held_out : -held_out],
        "test": lines[-held_out:],
    }
    note = find_splits(tmp_path)[1]
    assert f"its {count} lines the last {held_out} are held out for testing" in note
    assert f"the {held_out} before them for validation" in note


@pytest.mark.parametrize("missing", [["valid"], ["train", "test"]])
def test_missing_splits_are_named(tmp_path: Path, missing: list[str]) -> None:
    write_corpus(tmp_path)
    for split in missing:
        (tmp_path / f"{split}.txt").unlink()
    with pytest.raises(CorpusError, match=f"there is no {' and no '.join(missing)};"):
        find_splits(tmp_path)


def test_folder_with_too_little_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="missing: not a folder"):
        find_splits(tmp_path / "missing")
    (tmp_path / "text.md").write_text("a\nb\nc\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"no \.txt or \.txt\.gz file"):
        find_splits(tmp_path)
    (tmp_path / "text.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="2 lines are too few"):
        find_splits(tmp_path)


def test_binary_content_is_named_by_file_and_line(tmp_path: Path) -> None:
    for content, reason in ((b"a\nb\nc\x00d\n", "NUL"), (b"a\nb\nc\xffd\n", "not UTF-8")):
        for name, written in (("a.txt", content), ("a.txt.gz", gzip.compress(content))):
            (tmp_path / name).write_bytes(written)
            with pytest.raises(CorpusError, match=f"{name}, line 3: .*{reason}"):
                list(Source((tmp_path / name,)).lines())


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    good = gzip.compress(" ".join(str(index**2) for index in range(2000)).encode())
    path = tmp_path / "a.txt.gz"
    flipped = good[:60] + bytes(byte ^ 0xFF for byte in good[60:90]) + good[90:]
    for damaged in (b"", b"plain", good[:-20], good[:-8] + b"\x00" * 8, flipped):
        path.write_bytes(damaged)
        with pytest.raises(CorpusError, match=f"{path.name}: "):
            list(Source((path,)).lines())


# No carriage return, which belongs to a line's end before it, and no mark of UTF-8 before a file.
words = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\x00\ufeff"), max_size=12)


@given(
    files=st.lists(st.lists(words, min_size=1, max_size=9), min_size=1, max_size=3),
    start=st.integers(0, 12),
    length=st.none() | st.integers(0, 12),
    chunk_bytes=st.integers(1, 40),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_line_ranges_read_alike_in_any_chunk_size(
    tmp_path: Path,
    files: list[list[str]],
    start: int,
    length: int | None,
    chunk_bytes: int,
) -> None:
    paths = tuple(tmp_path / f"{index}.txt" for index in range(len(files)))
    for path, lines in zip(paths, files, strict=True):
        path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    stop = None if length is None else start + length
    expected = [line for lines in files for line in lines][start:stop]
    text = "".join(f"{line}\n" for line in expected).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_BYTES", chunk_bytes)
        patch.setattr(module, "LONG_LINE", 4)
        source = Source(paths, start, stop)
        assert list(source.lines()) == expected
        blocks = list(source.blocks("reading"))
        assert b"".join(block.to_bytes() for block in blocks) == text
    hashed = hashlib.blake2b(text, digest_size=16).hexdigest()
    assert source.content == (hashed, len(expected), len(text))


def test_hash_ignores_compression_and_files(tmp_path: Path) -> None:
    text = b"a b\n\nc d\ne\n"
    (tmp_path / "a.txt").write_bytes(text)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text))
    (tmp_path / "no_end.txt").write_bytes(text[:-1])
    (tmp_path / "1.txt").write_bytes(b"a b\n")  # an end of its own, or none
    (tmp_path / "2.txt").write_bytes(b"\nc d\ne")
    alone = {Source((tmp_path / name,)).content for name in ("a.txt", "a.txt.gz", "no_end.txt")}
    (tmp_path / "windows.txt").write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    alone.add(Source((tmp_path / "windows.txt",)).content)
    parts = {Source((tmp_path / "1.txt", tmp_path / "2.txt")).content}
    ranges = {Source((tmp_path / "2.txt", tmp_path / "a.txt"), 3).content}
    assert len(alone | parts | ranges) == 1
    (tmp_path / "other.txt").write_bytes(b"a b\n\nc d\nf\n")
    assert Source((tmp_path / "other.txt",)).content not in alone


@given(st.lists(st.sampled_from(["a", "bc", " ", "  ", "\t", "é", "日本", "'s", "1", "."])))
def test_long_line_is_split_at_single_spaces(parts: list[str]) -> None:
    line = "".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LONG_LINE", 3)
        pieces = list(cut(line))
    assert "".join(pieces) == line
    assert all(len(piece) >= 3 for piece in pieces[:-1])
    for before, after in pairwise(pieces):
        assert not before[-1].isspace()
        assert after[0] == " "
        assert not after[1].isspace()
