"""lm-evaluation-harness computes the figures of `/score` through the OpenAI-compatible routes."""

from pathlib import Path

import pytest

from tests.clients.lm_eval_compare import TOLERANCE, by_lm_eval, by_score, differences

TEXT = """The old river runs through the city .
It was built in 1897 , and rebuilt in 1923 .

  In the north , the road was closed by snow .
Zxqvyk's bridge — "the longest" — fell in the storm !
He asked : " Where did they go ? "
<unk> was the second king of the island .
The band 's third album was released on 4 May 2009 .
👩‍👩‍👧 came to see the show . 🎉
A naïve café owner from Zürich sang .
ที่ นี่ is not in the vocabulary .
No one knew .
The ship had 12 guns and a crew of 140 men .
She won the prize for best film in 1994 .
They said that the war would be over by Christmas .
It 's a game of two halves .
the the the the
1 2 3 4 5 6 7 8 9 10
The species is found in Africa and parts of Asia .
Its wings are dark brown , with a white band .
After the war , he became a teacher in London .
The city 's population was 12,345 in 2001 .
Reviews of the game were mixed ; critics liked the music .
The storm turned to the north @-@ west on August 3 .
A second season was announced in June .
He scored 25 goals in 38 games .
!
?!
Qwertyuiop asdfghjkl zxcvbnm .
The end of the line <eos> and what came after .
It rained all day , and all night , and all the next day too .
The song reached number one in the United States .
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.mark.parametrize(("batch_size", "concurrent"), [(1, 1), (16, 8)])
def test_lm_eval_gives_the_figures_of_score(
    url: str, file: Path, batch_size: int, concurrent: int
) -> None:
    documents = [line.strip() for line in TEXT.splitlines() if line.strip()]
    expected, longest = by_score(url, documents)
    found = by_lm_eval(url, file, longest, batch_size, concurrent)
    assert expected["word_perplexity"] > 10
    assert max(differences(found, expected).values()) < TOLERANCE
