"""The Python client of a running service. It needs httpx and knows no other module of tiedlm."""

from service.client.clients import AsyncClient, Client
from service.client.errors import (
    DeadlineExceeded,
    InvalidState,
    NoAnswer,
    NotSent,
    RequestRefused,
    ServerFailed,
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
    "CalibrationEntry",
    "CandidateToken",
    "Client",
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
