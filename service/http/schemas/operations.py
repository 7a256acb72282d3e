"""The bodies of the operations routes."""

from typing import Any

from pydantic import BaseModel


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str


class ErrorEnvelope(BaseModel):
    """Every answer that is not a success, the shape that OpenAI's clients read."""

    error: ErrorDetail


class Health(BaseModel):
    status: str


class Limits(BaseModel):
    max_batch_tokens: int
    max_queue_tokens: int
    max_body_bytes: int
    max_texts: int
    max_request_tokens: int
    request_timeout: float


class Info(BaseModel):
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
