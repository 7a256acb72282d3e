from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.natural_text import main, natural


@pytest.mark.parametrize(
    ("tokenised", "expected"),
    [
        ("17 @-@ place", "17-place"),
        ("1 @,@ 000 @,@ 000 and 2 @.@ 5", "1,000,000 and 2.5"),
        ("one , two ; three : four .", "one, two; three: four."),
        ("really ? yes ! 5 % of it …", "really? yes! 5% of it…"),
        ("a ( b ) [ c ] { d } e", "a (b) [c] {d} e"),
        ("$ 5 , £ 6 and € 7", "$5, £6 and €7"),
        ("the club 's plan , they 're there , I 'd", "the club's plan, they're there, I'd"),
        ("it ’s ’t", "it’s’t"),
        ("the teams ' season", "the teams' season"),
        ('he said " yes , now " and " no "', 'he said "yes, now" and "no"'),
        ("<unk> 's dog , a <unk> .", "<unk>'s dog, a <unk>."),
        (" = Valkyria Chronicles III = \n", "Valkyria Chronicles III"),
        (" = = = Later life = = = ", "Later life"),
        ("x = y = z", "x = y = z"),
        ("Kept Case THE 'stars", "Kept Case THE 'stars"),
        (" \n", ""),
        ("", ""),
    ],
)
def test_tokenised_text_becomes_natural(tokenised: str, expected: str) -> None:
    assert natural(tokenised) == expected


@given(st.lists(st.sampled_from(["a", "1", " ", ",", "(", ")", '"', "'", "@-@", "=", "s"])))
def test_only_tokenization_marks_are_removed(pieces: list[str]) -> None:
    line = "".join(pieces)
    removed = str.maketrans("", "", " @=")
    assert natural(line).translate(removed) == line.translate(removed)


def test_a_folder_is_rewritten_without_empty_lines(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out" / "deep"
    source.mkdir()
    (source / "train.txt").write_text(" = Head = \n \n a , b . \n", encoding="utf-8")
    (source / "valid.txt").write_text("é @-@ é\n", encoding="utf-8")
    (source / "notes.md").write_text("not text\n", encoding="utf-8")
    assert main([str(source), str(out)]) == 0
    assert {p.name: p.read_text(encoding="utf-8") for p in out.iterdir()} == {
        "train.txt": "Head\na, b.\n",
        "valid.txt": "é-é\n",
    }


def test_sub_folders_are_not_walked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    (source / "a.txt").write_text("a\n", encoding="utf-8")
    (source / "sub" / "gone.txt").symlink_to("nowhere")
    (source / "again").symlink_to("sub")
    assert main([str(source), str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'a.txt'}: 1 lines\n"


def test_binary_input_is_one_line_and_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.txt").write_bytes(b"good\nb\xffd\n")
    assert main([str(tmp_path), str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "train.txt, line 2: not UTF-8" in error


@pytest.mark.parametrize("source", ["missing", "."])
def test_a_folder_without_text_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    assert main([str(tmp_path / source), str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "out").exists()
