"""The Python client of a running service. It needs httpx and no other module of tiedlm."""

from service.client.clients import AsyncClient, Client
from service.client.errors import (
    BadRequest,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidState,
    NoAnswer,
    NotSent,
    RequestRefused,
    ServerError,
    ServerFailed,
    TiedlmError,
    Unauthorized,
    Unavailable,
)
from service.client.requests import Hypothesis
from service.client.results import (
    CalibrationEntry,
    CandidateToken,
    Info,
    Limits,
    NextTokenResult,
    RankedToken,
    RescoredHypothesis,
    RescoreResult,
    Tokenization,
    TokenizerSummary,
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
    "NoAnswer",
    "NotSent",
    "RankedToken",
    "RequestRefused",
    "RescoreResult",
    "RescoredHypothesis",
    "Retries",
    "ScoreResult",
    "ServerError",
    "ServerFailed",
    "TextResult",
    "TiedlmError",
    "TokenScore",
    "Tokenization",
    "TokenizerSummary",
    "Unauthorized",
    "Unavailable",
    "WordScore",
]
