"""The notebook runs, and its figures equal those of the language model."""

import asyncio
import math

import pytest

from service.bundle import Bundle
from service.language_model import LanguageModel
from service.results.options import ScoreOptions
from service.settings import STARTER_BUNDLE, Settings

nbclient = pytest.importorskip("nbclient", reason="pip install '.[notebook]'")


@pytest.mark.filterwarnings("default")  # Jupyter's own warnings
def test_notebook_runs_and_ends_in_a_picture() -> None:
    from tests.programs.notebook import executed

    notebook = executed("print(sum(map(len, sentences)), words['cross_entropy'].sum())")
    *cells, last = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert any("image/png" in output.get("data", {}) for output in cells[-1].outputs)
    length, bits = last.outputs[0].text.split()
    assert int(length) > 500
    sentences = next(cell.source for cell in cells if cell.source.startswith("raw ="))
    names: dict[str, list[str]] = {}
    exec(sentences, names)
    assert float(bits) == pytest.approx(total_bits(names["sentences"]))


def total_bits(sentences: list[str]) -> float:
    """Return the surprisal of all words, without the ends of sentences."""
    model = LanguageModel(Bundle.load(STARTER_BUNDLE), Settings(threads=1))

    async def score() -> float:
        scores = await model.score(
            await model.encoder.encode_texts(sentences), ScoreOptions(eos=False)
        )
        return sum(score.totals.nats for score in scores) / math.log(2)

    bits = asyncio.run(score())
    model.close()
    return bits
