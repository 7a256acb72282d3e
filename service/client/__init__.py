"""The Python client of a running service. It needs httpx and knows no other module of tiedlm."""

from service.client.answers import (
    CandidateToken,
    NextTokenResult,
    RankedToken,
    RescoredHypothesis,
    RescoreResult,
    Tokenization,
)
from service.client.calls import Hypothesis
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
from service.client.exchange import Retries
from service.client.info import CalibrationEntry, Info, Limits
from service.client.scores import (
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
    "Unauthorized",
    "Unavailable",
    "WordScore",
]
