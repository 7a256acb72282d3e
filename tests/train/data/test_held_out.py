"""Tests of the division of a text without splits."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from train.config import DataConfig
from train.data.source import Source
from train.data.splits import find_splits
from train.errors import CorpusError

RANDOM = DataConfig(split="random")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def divided(data: Path, config: DataConfig = RANDOM) -> tuple[dict[str, list[str]], str]:
    sources, note = find_splits(data, config)
    return {split: list(source.lines()) for split, source in sources.items()}, note


@pytest.mark.parametrize("end", ["\n", "\n\n\n\n", "\n \n\t\n\u3000\n", "\n" * 200])
def test_trailing_blank_lines_are_not_held_out(tmp_path: Path, end: str) -> None:
    text = "".join(f"line {index}\n" for index in range(20))
    found, note = divided(write(tmp_path / "a.txt", text.rstrip() + end), DataConfig())
    assert found["train"] == [f"line {index}" for index in range(18)]
    assert found["valid"] == ["line 18"]
    assert [line for line in found["test"] if line.strip()] == ["line 19"]
    assert "the last 1 are held out" in note


def test_blank_lines_within_a_text_move_no_line(tmp_path: Path) -> None:
    """The division is that of versions without a rule for blank lines, so that runs resume."""
    text = "".join(f"line {index}\n\n" for index in range(40))  # 80 lines: 4 and 4 held out
    found, _ = divided(write(tmp_path / "a.txt", text), DataConfig())
    assert found["valid"] == ["line 36", "", "line 37", ""]
    assert found["test"] == ["line 38", "", "line 39", ""]


def test_a_text_of_blank_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="0 lines that are not blank are too few"):
        divided(write(tmp_path / "a.txt", "\n" * 50), DataConfig())
    with pytest.raises(CorpusError, match="2 lines that are not blank are too few"):
        divided(write(tmp_path / "a.txt", "a\nb\n" + "\n" * 50), DataConfig())


def test_random_documents_are_whole_and_in_one_split(tmp_path: Path) -> None:
    """Return paragraphs of 1 to 5 lines."""
    paragraphs = [[f"p{n} l{k}" for k in range(1 + n % 5)] for n in range(200)]
    text = "\n\n".join("\n".join(lines) for lines in paragraphs) + "\n"
    found, note = divided(write(tmp_path / "a.txt", text))
    assert Counter(line for lines in found.values() for line in lines) == Counter(text.splitlines())
    split_of = {line.split()[0]: split for split, lines in found.items() for line in lines if line}
    for split, lines in found.items():
        words = [line for line in lines if line]
        whole = [line for n, p in enumerate(paragraphs) if split_of[f"p{n}"] == split for line in p]
        assert words == whole  # in the order of the text
    for split in ("valid", "test"):
        assert (
            30 <= sum(map(bool, found[split])) < 35
        )  # 5 % of 600 lines, and up to one document more
    assert "200 documents" in note
    assert "data.seed = 1" in note


def test_random_documents_come_from_all_over(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "".join(f"{index}\n" for index in range(1000)))
    first, _ = divided(path)
    again, _ = divided(path)
    other, _ = divided(path, DataConfig(split="random", seed=2))
    assert first == again
    assert first["test"] != other["test"]
    assert [len(first[split]) for split in ("train", "valid", "test")] == [900, 50, 50]
    for split in ("valid", "test"):
        assert {int(line) // 250 for line in first[split]} == {0, 1, 2, 3}
        assert first[split] != [str(n) for n in range(900, 950)]


def test_many_files_are_documents(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path / f"{number:02}.txt", f"{number} a\n\n{number} b\n")
    found, note = divided(tmp_path)
    assert "40 documents (files)" in note
    for lines in found.values():
        count = Counter(line.split()[0] for line in lines if line)
        assert set(count.values()) == {2}
    assert [len(found[split]) for split in ("train", "valid", "test")] == [108, 6, 6]


def test_a_document_is_what_the_configuration_says(tmp_path: Path) -> None:
    text = "".join(f"{n} a\n{n} b\n\n" for n in range(40))
    path = write(tmp_path / "a.txt", text)
    for document, count in (("line", 80), ("paragraph", 40), ("auto", 40)):
        config = DataConfig.model_validate({"split": "random", "document": document})
        assert f"{count} documents" in divided(path, config)[1]
    with pytest.raises(CorpusError, match="1 documents"):
        divided(path, DataConfig(split="random", document="file"))


def test_line_numbers_in_errors_survive_the_selection(tmp_path: Path) -> None:
    lines = [f"{n}".encode() for n in range(100)]
    lines[70] = b"\xff"
    (tmp_path / "a.txt").write_bytes(b"\n".join(lines))
    kept = np.arange(100) % 10 == 0
    with pytest.raises(CorpusError, match=r"a\.txt, line 71: not UTF-8"):
        list(Source((tmp_path / "a.txt",), kept=kept).lines())
