"""A text with unusual characters, and its surprisals by `LanguageModel.score`."""

import asyncio
from pathlib import Path

import pytest

from service.bundle import Bundle
from service.language_model import LanguageModel
from service.plot.__main__ import main
from service.settings import STARTER_BUNDLE, Settings

TEXT = "The <b>old</b> river & Zxqvyk,\n\n河 $5 and $6 👩‍👧 مدينة cafe\u0301"


@pytest.fixture(scope="session")
def bits() -> list[float]:
    model = LanguageModel(Bundle.load(STARTER_BUNDLE), Settings(threads=1))

    async def score() -> list[float]:
        (scores,) = await model.score(await model.encoder.encode_texts([TEXT]))
        return [float(value) for value in scores.logprobs / -0.6931471805599453]

    surprisals = asyncio.run(score())
    model.close()
    return surprisals


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a <text>.txt"
    path.write_text(TEXT + "\n", encoding="utf-8")
    return path


def error_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err
