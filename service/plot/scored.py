"""A file's tokens with their surprisals, scored in this process."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from service.bundle import Bundle
from service.errors import StartError
from service.files import compression
from service.files.outputs import STANDARD_INPUT
from service.language_model import LanguageModel
from service.results.oov_warning import oov_warning
from service.scoring import NATS_IN
from service.settings import Settings

BOM = b"\xef\xbb\xbf"
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
        return oov_warning(sum(token.oov for token in words), len(words))

    @property
    def summary(self) -> str:
        perplexity = "beyond a double" if self.perplexity is None else f"{self.perplexity:.1f}"
        return (
            f"{len(self.tokens):,} tokens, {self.mean:.2f} {self.unit} each, "
            f"perplexity {perplexity} ({self.model})"
        )


def score_file(path: Path, bundle: Path, unit: str) -> Scored:
    """Raises StartError for a file or bundle that cannot be read, InputTooLong for a long text."""
    text = _read(path)
    name = "standard input" if path == STANDARD_INPUT else path.name
    settings = Settings(bundle=bundle, max_request_tokens=MAX_TOKENS, prefix_cache_bytes=0)
    model = LanguageModel(Bundle.load(bundle), settings)
    try:
        return asyncio.run(_score(model, name, text, unit))
    finally:
        model.close()


def _read(path: Path) -> str:
    """Return a file's text, unpacked, without the end of its last line. Only `\\n` and `\\r\\n` end
    lines, as in the service. Raises StartError.
    """
    lines: list[bytes] = []
    try:
        with _opened(path) as raw, compression.reader(raw, path) as file:
            try:
                lines.extend(file)
            except compression.damage(path) as error:
                raise StartError(
                    f"{path}, after line {len(lines)}: the file is damaged: {error}"
                ) from None
    except OSError as error:
        raise StartError(f"{path}: {error.strerror or error}") from None
    try:
        text = b"".join(lines).removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise StartError(f"{path}: not UTF-8, from byte {error.start + 1} of the text on") from None
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _opened(path: Path) -> IO[bytes]:
    """Open a file. Standard input stays open."""
    return open(0, "rb", closefd=False) if path == STANDARD_INPUT else path.open("rb")


async def _score(model: LanguageModel, name: str, text: str, unit: str) -> Scored:
    (score,) = await model.score(await model.encoder.texts([text]))
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
    return Scored(name, text, tokens, unit, model.info.name, perplexity)
