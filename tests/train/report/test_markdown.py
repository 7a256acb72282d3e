import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.report.markdown import ACTIVE, JOINERS, escape, table


def shown(markdown: str) -> str:
    """Return the rendered text: a backslash before ASCII punctuation is hidden (CommonMark 2.4)."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown)


@given(text=st.text(st.sampled_from("\\`*_[]<>&|~$#-a é\n\t\x00\u202e")))
def test_a_reader_sees_the_text_and_no_markup(text: str) -> None:
    escaped = escape(text)
    expected = " ".join(text.split()).replace("\x00", "�").replace("\u202e", "�")
    assert shown(escaped) == expected
    assert not ACTIVE.search(re.sub(r"\\.", "", escaped))


@given(cells=st.lists(st.text("\\|`a "), min_size=2, max_size=4))
def test_a_cell_never_ends_before_its_end(cells: list[str]) -> None:
    row = table(["x"] * len(cells), [[escape(cell) for cell in cells]]).splitlines()[2]
    found = re.split(r"(?<!\\)(?:\\\\)*\|", row)[1:-1]
    assert len(found) == len(cells)


@pytest.mark.parametrize("text", ["می‌خواهم", "👩‍🚀", "日本語", "naïve – “x”"])
def test_letters_of_every_script_stay(text: str) -> None:
    assert escape(text) == text
    assert JOINERS.isprintable() is False


def test_a_table_aligns_its_numbers() -> None:
    assert table(["run", "a", "b"], [["x", "1", "2"]], numbers=True) == (
        "| run | a | b |\n| --- | ---: | ---: |\n| x | 1 | 2 |"
    )
