"""The bodies of the operations routes."""

from typing import Any

from pydantic import BaseModel, Field

from service.http.schema_types import example_of
from service.limits import MAX_CACHE_POSITIONS, MAX_TOP, MAX_TOP_TOKENS
from service.text.tokenizer_kind import Kind


class Health(BaseModel):
    status: str = Field(description="live or ready.", examples=["ready"])


class Reloaded(BaseModel):
    model: str = Field(description="The name of the bundle now served.", examples=["starter"])
    bundle_hash: str = Field(
        description="SHA-256 of it; states of another are not taken.", examples=["95c0586f966bacd7"]
    )


class Limits(BaseModel):
    max_batch_tokens: int = Field(description="Padded tokens of one run.", examples=[4096])
    max_queue_tokens: int = Field(
        description="Waiting tokens beyond which 429 answers.", examples=[262144]
    )
    max_bulk_wait: float = Field(
        description="Seconds of expected waiting beyond which /score and /rescore answer 429.",
        examples=[10.0],
    )
    max_interactive_wait: float = Field(
        description="The same for /next-token and /v1/completions.", examples=[1.0]
    )
    max_queue_seconds: float = Field(
        description="`max_bulk_wait` under its former name.",
        examples=[10.0],
    )
    max_body_bytes: int = Field(description="Size of a request's body.", examples=[8388608])
    max_texts: int = Field(description="Texts of a request.", examples=[4096])
    max_request_tokens: int = Field(
        description="Tokens over all texts of a request.", examples=[200000]
    )
    request_timeout: float = Field(
        description="Seconds that a request may wait for its first run.", examples=[30.0]
    )
    client_timeout: float = Field(
        description="Seconds a client has to send a head, a body, or to take some answer.",
        examples=[20.0],
    )
    max_top: int = Field(MAX_TOP, description="`top` of a scored token.", examples=[MAX_TOP])
    max_top_tokens: int = Field(
        MAX_TOP_TOKENS,
        description="Tokens × (1 + `top`) of a request.",
        examples=[MAX_TOP_TOKENS],
    )
    max_cache_positions: int = Field(
        MAX_CACHE_POSITIONS,
        description="min(window, tokens) of `cache`, summed over the texts of a request.",
        examples=[MAX_CACHE_POSITIONS],
    )


class CalibrationEntry(BaseModel):
    name: str = Field(description="What requests call it.", examples=["news"])
    texts: int = Field(description="How many reference texts it was made from.", examples=[50000])


class TokenizerSummary(BaseModel):
    kind: Kind = Field(
        description="What a token is: a word (`words`), what stands between white space "
        "(`whitespace`), a character (`char`), or a piece of a word (`bpe`, `unigram`).",
        examples=["words"],
    )
    subword: bool = Field(
        description="Whether a word is several tokens; `/score` then adds `words`.",
        examples=[False],
    )


class Info(BaseModel):
    model: str = Field(description="The bundle's name.", examples=["starter"])
    bundle_hash: str = Field(
        description="SHA-256 of the bundle; states are bound to it.", examples=["95c0586f966bacd7"]
    )
    precision: str = Field(description="int8 or float32.", examples=["int8"])
    vocabulary_size: int = Field(description="Ids are below it.", examples=[14000])
    tokenizer: TokenizerSummary = Field(
        description="How the model cuts a text.", examples=[example_of(TokenizerSummary)]
    )
    parameters: int = Field(description="The model's size.", examples=[4650672])
    threads: int = Field(description="Worker threads.", examples=[2])
    limits: Limits = Field(description="What requests may ask.", examples=[example_of(Limits)])
    versions: dict[str, str] = Field(
        description="Of this and of the packages that compute.", examples=[{"tiedlm": "0.1.0"}]
    )
    parity: dict[str, float] = Field(
        description="How far the exported model is from the trained one.",
        examples=[{"max_abs_logprob_difference": 4.8e-6}],
    )
    calibrations: list[CalibrationEntry] = Field(
        description="Tables that /score gives percentiles by.",
        examples=[[example_of(CalibrationEntry)]],
    )
    training: dict[str, Any] = Field(
        description="How the model was trained, as its bundle says.",
        examples=[{"valid_perplexity": 149.9}],
    )
