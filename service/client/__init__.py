"""The Python client of a running service. It needs httpx and knows no other module of tiedlm."""

from service.client.clients import AsyncClient, Client
from service.client.errors import (
    BadRequest,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidState,
    NotSent,
    ServerError,
    TiedlmError,
    Unauthorized,
    Unavailable,
)
from service.client.info import CalibrationEntry, Info, Limits, TokenizerSummary
from service.client.requests import Hypothesis
from service.client.results import (
    CandidateToken,
    NextTokenResult,
    RankedToken,
    RescoredHypothesis,
    RescoreResult,
    Tokenization,
)
from service.client.retries import Retries
from service.client.score_results import (
    Aggregates,
    Alternative,
    ScoreResult,
    TextResult,
    TokenScore,
    WordScore,
)

__all__ = [
    "Aggregates",
    "Alternative",
    "AsyncClient",
    "BadRequest",
    "CalibrationEntry",
    "CandidateToken",
    "Client",
    "ConnectionFailed",
    "DeadlineExceeded",
    "Hypothesis",
    "Info",
    "InvalidState",
    "Limits",
    "NextTokenResult",
    "NotSent",
    "RankedToken",
    "RescoreResult",
    "RescoredHypothesis",
    "Retries",
    "ScoreResult",
    "ServerError",
    "TextResult",
    "TiedlmError",
    "TokenScore",
    "Tokenization",
    "TokenizerSummary",
    "Unauthorized",
    "Unavailable",
    "WordScore",
]
