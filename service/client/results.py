"""Results of all client methods but `score`. Field names are those of the wire."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedToken:
    """One of the most probable next tokens."""

    id: int
    text: str
    """The entry of the vocabulary."""
    probability: float
    logprob: float
    """Natural."""
    rank: int
    surface: str = ""
    """The text that the token appends. For a subword, `text` may be unreadable; this is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateToken:
    """One of the requested `candidates`. An excluded token has probability 0."""

    candidate: str
    id: int
    text: str
    probability: float
    logprob: float | None
    rank: int | None
    oov: bool
    surface: str = ""
    """The text that the token appends; for an unknown word the word itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTokenResult:
    """The distribution of the next token."""

    model: str
    vocabulary_size: int
    tokens: tuple[RankedToken, ...]
    """Most probable first."""
    candidates: tuple[CandidateToken, ...]
    """In the order of the request."""
    entropy: float | None
    """In nats, of the distribution from which `tokens` are taken."""
    remaining_probability: float
    """The probability of all words that are not in `tokens`."""
    prefix_probability: float | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RescoredHypothesis:
    """A hypothesis and its scores."""

    index: int
    """Its position in the request."""
    text: str
    logprob: float
    """Natural, of the whole text and its end."""
    total: float
    """score + lm_weight · logprob + length_bonus · token_count"""
    token_count: int
    oov_count: int
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RescoreResult:
    """An n-best list in its new order."""

    results: tuple[RescoredHypothesis, ...]
    """Best total first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenization:
    """The token ids of a text."""

    tokens: tuple[int, ...]
    count: int
    max_model_len: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Detokenization:
    """The text of token ids."""

    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The status of the service."""

    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of the service for one request."""

    max_batch_tokens: int
    max_queue_tokens: int
    max_bulk_wait: float = 10.0
    """Seconds; `/score` and `/rescore` return 429 if the expected wait is longer."""
    max_interactive_wait: float = 1.0
    """The same for `/next-token` and `/v1/completions`."""
    max_queue_seconds: float
    """The former name of `max_bulk_wait`."""
    max_body_bytes: int
    max_texts: int
    max_request_tokens: int
    max_top: int
    max_top_tokens: int
    """Tokens × (1 + `top`)."""
    max_cache_positions: int
    """min(window, tokens) of `cache`, summed over the texts of a request."""
    request_timeout: float
    """Seconds."""
    client_timeout: float
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationEntry:
    """A table of reference texts, from which `score` computes percentiles."""

    name: str
    texts: int
    """The number of reference texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerSummary:
    """The tokenizer of the bundle."""

    kind: str
    """`words`, `whitespace`, `char`, `bpe` or `unigram`."""
    subword: bool
    """Whether a word may be several tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """The model card, the limits and the versions of the service."""

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
    """The tables that `score(calibration=…)` accepts."""
    tokenizer: TokenizerSummary | None = None
    """None if the service is older than this field."""
