"""The Python client of a running service. It needs httpx and knows no other module of tiedlm."""

from service.client.calls import Hypothesis
from service.client.clients import AsyncClient, Client
from service.client.errors import (
    DeadlineExceeded,
    InvalidState,
    NoAnswer,
    RequestRefused,
    ServerFailed,
    TiedlmError,
    Unauthorized,
    Unavailable,
)
from service.client.exchange import Retries
from service.client.results import (
    Aggregates,
    Alternative,
    CalibrationEntry,
    CandidateToken,
    Info,
    Limits,
    NextTokenResult,
    RankedToken,
    RescoredHypothesis,
    RescoreResult,
    ScoreResult,
    TextResult,
    Tokenization,
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
    "Unauthorized",
    "Unavailable",
    "WordScore",
]
