"""What the service answers about next words, hypotheses and tokens. Names are those of the wire."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedToken:
    id: int
    text: str
    """The vocabulary's entry."""
    probability: float
    logprob: float
    """Natural."""
    rank: int
    surface: str = ""
    """What the token adds to the text: to be read by people, as `text` of a piece is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateToken:
    """An answer about one word that was asked about; excluded words have probability 0."""

    candidate: str
    id: int
    text: str
    probability: float
    logprob: float | None
    rank: int | None
    oov: bool
    surface: str = ""
    """What the token adds to the text; of an unknown word the word itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTokenResult:
    model: str
    vocabulary_size: int
    tokens: tuple[RankedToken, ...]
    """Most probable first."""
    candidates: tuple[CandidateToken, ...]
    """In the order asked."""
    entropy: float | None
    """In nats, of the distribution that `tokens` was listed from."""
    remaining_probability: float
    """Of all words that are not in `tokens`."""
    prefix_probability: float | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RescoredHypothesis:
    index: int
    """Where it stood in the request."""
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
    results: tuple[RescoredHypothesis, ...]
    """Best total first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detokenization:
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenization:
    tokens: tuple[int, ...]
    count: int
    max_model_len: int
