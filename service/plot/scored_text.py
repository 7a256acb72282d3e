"""The tokens of a text file with their surprisals, scored in this process."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from service.bundle import Bundle
from service.errors import StartError
from service.files import compression
from service.files.streams import STANDARD_INPUT
from service.language_model import LanguageModel
from service.plot.display_text import LINE_ENDS
from service.scoring import NATS_IN, oov_warning
from service.settings import Settings

BOM = b"\xef\xbb\xbf"
MAX_TOKENS = 5_000_000  # a plot of more tokens is not readable


@dataclass(frozen=True, slots=True)
class Token:
    """A scored token. `start` and `end` are code points; `surprisal` is −log probability."""

    start: int
    end: int
    surprisal: float
    oov: bool


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A text and its tokens, the end included. `name` is the file's; surprisals are in `unit`."""

    name: str
    text: str
    tokens: list[Token]
    unit: str
    model: str
    perplexity: float | None

    @property
    def mean(self) -> float:
        """The mean surprisal, in `unit`."""
        return sum(token.surprisal for token in self.tokens) / len(self.tokens)

    @property
    def note(self) -> str | None:
        """A warning if the perplexity is misleading, or None."""
        words = [t for t in self.tokens if self.text[t.start : t.end] not in LINE_ENDS]
        return oov_warning(sum(token.oov for token in words), len(words))

    @property
    def summary(self) -> str:
        """One line with the number of tokens, their mean surprisal and the perplexity."""
        perplexity = (
            "too large for a double" if self.perplexity is None else f"{self.perplexity:.1f}"
        )
        return (
            f"{len(self.tokens):,} tokens, {self.mean:.2f} {self.unit} each, "
            f"perplexity {perplexity} ({self.model})"
        )


def score_file(path: Path, bundle: Path, unit: str) -> ScoredText:
    """Score a text file with a bundle.

    Raises StartError if the file or the bundle cannot be read, and InputTooLong for more than
    MAX_TOKENS tokens.
    """
    text = _read_text(path)
    name = "standard input" if path == STANDARD_INPUT else path.name
    settings = Settings(bundle=bundle, max_request_tokens=MAX_TOKENS, prefix_cache_bytes=0)
    model = LanguageModel(Bundle.load(bundle), settings)
    try:
        return asyncio.run(_score_text(model, name, text, unit))
    finally:
        model.close()


def _read_text(path: Path) -> str:
    """Return the decompressed text without its last line end. Raises StartError.

    Only `\\n` and `\\r\\n` end lines, as in the service.
    """
    lines: list[bytes] = []
    try:
        with _open(path) as raw, compression.decompressed(raw, path) as file:
            try:
                lines.extend(file)
            except compression.corruption_errors(path) as error:
                raise StartError(
                    f"{path}, after line {len(lines)}: the file is damaged: {error}"
                ) from None
    except OSError as error:
        raise StartError(f"{path}: {error.strerror or error}") from None
    try:
        text = b"".join(lines).removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise StartError(f"{path}: not UTF-8 at byte {error.start + 1} of the text") from None
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _open(path: Path) -> IO[bytes]:
    """Open a file. Closing the returned file does not close standard input."""
    return open(0, "rb", closefd=False) if path == STANDARD_INPUT else path.open("rb")


async def _score_text(model: LanguageModel, name: str, text: str, unit: str) -> ScoredText:
    (score,) = await model.score(await model.encoder.encode_texts([text]))
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
    return ScoredText(name, text, tokens, unit, model.info.name, perplexity)
