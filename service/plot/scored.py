"""A file's tokens with their surprisals, scored in this process."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from service.bundle import Bundle
from service.errors import StartError
from service.flattery import flattery
from service.language_model import LanguageModel
from service.scoring import NATS_IN
from service.settings import Settings

LINE_ENDS = ("", "\n", "\r\n")  # the first is the end of a text
MAX_TOKENS = 5_000_000  # beyond it no picture shows anything


@dataclass(frozen=True, slots=True)
class Token:
    """`start` and `end` are code points of the text; `surprisal` is −log probability."""

    start: int
    end: int
    surprisal: float
    oov: bool


@dataclass(frozen=True, slots=True)
class Scored:
    """A text's tokens, its end included; surprisals in `unit`, the `name` of the file."""

    name: str
    text: str
    tokens: list[Token]
    unit: str
    model: str
    perplexity: float | None

    @property
    def mean(self) -> float:
        return sum(token.surprisal for token in self.tokens) / len(self.tokens)

    @property
    def note(self) -> str | None:
        """What misleads in the perplexity, if anything."""
        words = [t for t in self.tokens if self.text[t.start : t.end] not in LINE_ENDS]
        return flattery(sum(token.oov for token in words), len(words))

    @property
    def summary(self) -> str:
        perplexity = "beyond a double" if self.perplexity is None else f"{self.perplexity:.1f}"
        return (
            f"{len(self.tokens):,} tokens, {self.mean:.2f} {self.unit} each, "
            f"perplexity {perplexity} ({self.model})"
        )


def score_file(path: Path, bundle: Path, unit: str) -> Scored:
    """Raises StartError for a file or bundle that cannot be read, InputTooLong for a long text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StartError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartError(f"{path}: not UTF-8") from None
    settings = Settings(bundle=bundle, max_request_tokens=MAX_TOKENS, prefix_cache_bytes=0)
    model = LanguageModel(Bundle.load(bundle), settings)
    try:
        return asyncio.run(_score(model, path.name, text.removesuffix("\n"), unit))
    finally:
        model.close()


async def _score(model: LanguageModel, name: str, text: str, unit: str) -> Scored:
    (score,) = await model.score(await model.read.texts([text]))
    assert score.starts is not None
    assert score.ends is not None
    rows = zip(
        score.starts,
        score.ends,
        (-NATS_IN[unit] * score.logprobs).tolist(),
        score.oov.tolist(),
        strict=True,
    )
    tokens = [Token(*row) for row in rows]
    perplexity = score.totals.figures(unit)["perplexity"]
    return Scored(name, text, tokens, unit, model.bundle.manifest.name, perplexity)
