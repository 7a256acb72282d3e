"""What the service tells of itself. Names are those of the wire."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    max_batch_tokens: int
    max_queue_tokens: int
    max_bulk_wait: float = 10.0
    """Seconds of expected waiting beyond which `/score` and `/rescore` answer 429."""
    max_interactive_wait: float = 1.0
    """The same for `/next-token` and `/v1/completions`."""
    max_queue_seconds: float
    """`max_bulk_wait` under its former name."""
    max_body_bytes: int
    max_texts: int
    max_request_tokens: int
    max_top: int
    max_top_tokens: int
    """Tokens × (1 + `top`)."""
    max_cache_positions: int
    """min(window, tokens) of `cache`, summed over the texts of a request."""
    request_timeout: float
    """Seconds, as `client_timeout` is."""
    client_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationEntry:
    name: str
    texts: int
    """How many reference texts it was made from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerSummary:
    kind: str
    """`words`, `whitespace`, `char`, `bpe` or `unigram`."""
    subword: bool
    """Whether a word is several tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    model: str
    bundle_hash: str
    precision: str
    vocabulary_size: int
    parameters: int
    threads: int
    limits: Limits
    versions: dict[str, str]
    parity: dict[str, float]
    training: dict[str, Any]
    calibrations: tuple[CalibrationEntry, ...] = ()
    """Tables that `score` gives percentiles by."""
    tokenizer: TokenizerSummary | None = None
    """None where the server is older than this field."""
