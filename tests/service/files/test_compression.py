"""Compressed files are read to their end; anything missing or unexpected is corruption."""

import gzip
import io
import random
import struct
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from service.errors import JobError
from service.files import compression
from tests.support.bulk_job import Jobs, rows

SKIPPABLE = struct.pack("<II", 0x184D2A53, 6) + b"a note"
chance = random.Random(7)
WORDS = ["the", "river", "city", "of", "ice", "station"]
LINES = [" ".join(chance.choices(WORDS, k=12)).encode() + b"\n" for _ in range(3000)]
TEXT = b"".join(LINES)


def packed(content: bytes, suffix: str) -> bytes:
    if suffix == ".gz":
        return gzip.compress(content, mtime=0)
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


def unpacked(content: bytes, suffix: str) -> bytes:
    """Return the decompressed content. Raises one of `corruption_errors`."""
    path = Path("a.txt" + suffix)
    with compression.decompressed(io.BytesIO(content), path) as file:
        return b"".join(file)


def is_damaged(content: bytes, suffix: str) -> bool:
    try:
        unpacked(content, suffix)
    except compression.corruption_errors(Path("a.txt" + suffix)):
        return True
    return False


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@given(data=st.data())
def test_only_cuts_between_frames_are_valid(suffix: str, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.binary(max_size=300), min_size=1, max_size=3))
    frames = [packed(part, suffix) for part in parts]
    whole = b"".join(frames)
    ends = {sum(map(len, frames[:count])): count for count in range(1, len(frames) + 1)}
    at = data.draw(st.integers(0, len(whole)))
    if at in ends:
        assert unpacked(whole[:at], suffix) == b"".join(parts[: ends[at]])
    else:
        assert is_damaged(whole[:at], suffix)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("tail", [b"x", b"xyz", b"garbage behind the frame" * 9])
def test_bytes_after_the_last_frame_are_corruption(suffix: str, tail: bytes) -> None:
    assert is_damaged(packed(b"some text\n", suffix) + tail, suffix)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_wrong_checksum_is_corruption(suffix: str) -> None:
    content = bytearray(packed(TEXT, suffix))
    content[-5 if suffix == ".gz" else -1] ^= 1
    assert is_damaged(bytes(content), suffix)


def test_skippable_frames_are_skipped() -> None:
    frame = packed(b"text\n", ".zst")
    assert unpacked(SKIPPABLE + frame + SKIPPABLE + frame + SKIPPABLE, ".zst") == b"text\n" * 2
    for cut in range(1, len(SKIPPABLE)):
        assert is_damaged(frame + SKIPPABLE[:cut], ".zst")


def test_a_long_window_is_read() -> None:
    """Read a frame of one raw block (RFC 8878) with the window of `zstd --long=31`."""
    window = bytes([(31 - 10) << 3])
    block = (len(LINES[0]) << 3 | 1).to_bytes(3, "little") + LINES[0]
    content = b"\x28\xb5\x2f\xfd\0" + window + block
    assert zstandard.get_frame_parameters(content).window_size == 1 << 31
    assert unpacked(content, ".zst") == LINES[0]
    assert is_damaged(content[:-1], ".zst")


def test_a_too_large_window_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "ZSTD_WINDOW", 1 << 20)
    large = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=22)
    )
    content = large.compressobj().compress(bytes(1 << 23))
    with pytest.raises(JobError, match=r"zstd -d --long=31 a\.txt\.zst"):
        unpacked(content, ".zst")


def test_a_large_frame_is_decompressed_in_steps() -> None:
    content = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    raw = io.BytesIO(content)
    with compression.decompressed(raw, Path("a.zst")) as file:
        assert file.read(1 << 20) == bytes(1 << 20)
        assert raw.tell() < len(content) / 4


def test_own_frames_are_read_back() -> None:
    for suffix in (".gz", ".zst"):
        path = Path("a" + suffix)
        content = compression.compress_frame(b"one\n", path) + compression.compress_frame(b"", path)
        assert (
            unpacked(content + compression.compress_frame(b"two\n", path), suffix) == b"one\ntwo\n"
        )


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("cut", ["last frame", "second frame", "all"])
@pytest.mark.parametrize("command", ["score", "calibrate"])
def test_a_truncated_input_ends_the_job(
    jobs: Jobs, tmp_path: Path, suffix: str, cut: str, command: str
) -> None:
    source = tmp_path / f"in.txt{suffix}"
    content = packed(TEXT, suffix)
    if cut == "second frame":
        content = packed(b"the river\n", suffix) + content
    source.write_bytes(b"" if cut == "all" else content[: len(content) // 2])
    out = tmp_path / ("out.json" if command == "calibrate" else "out.jsonl")
    arguments: list[str | Path] = [source, "--out", out]
    assert jobs(*(["calibrate"] if command == "calibrate" else []), *arguments) == 1
    assert f"error: {source}, after line " in jobs.errors
    assert "the file is damaged" in jobs.errors
    assert not out.exists()


def test_lines_before_the_corruption_are_counted(jobs: Jobs, tmp_path: Path) -> None:
    source = tmp_path / "in.txt.zst"
    source.write_bytes(packed(b"the river\n" * 7, ".zst") + packed(TEXT, ".zst")[:-9])
    assert jobs(source, "--out", tmp_path / "out.jsonl") == 1
    line = int(jobs.errors.split("after line ")[1].split(":")[0])
    assert 7 <= line < 7 + len(LINES)


def test_a_file_as_document_is_read_completely(jobs: Jobs, tmp_path: Path) -> None:
    for suffix in (".gz", ".zst"):
        source = tmp_path / f"in.txt{suffix}"
        source.write_bytes(packed(b"the river\n" * 50, suffix))
        out = tmp_path / f"out{suffix}.jsonl"
        assert jobs(source, "--out", out, "--document", "file") == 0
        assert len(rows(out)) == 1
        source.write_bytes(packed(b"the river\n" * 50, suffix)[:-3])
        assert jobs(source, "--out", tmp_path / "no.jsonl", "--document", "file") == 1
        assert "the file is damaged" in jobs.errors
