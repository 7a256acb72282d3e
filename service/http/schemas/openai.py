"""The bodies of the OpenAI-compatible routes. Unknown fields are ignored: clients send extras."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

TokenIds = list[int]


class Request(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class CompletionRequest(Request):
    model: str = Field(description="The bundle's name, or tiedlm.", examples=["tiedlm"])
    prompt: str | list[str] | TokenIds | list[TokenIds] = Field(
        description="One or several texts, or their ids. Ids get no token added.",
        examples=["The capital of"],
    )
    max_tokens: int = Field(16, ge=0, description="Tokens to generate; 0 only with echo.")
    temperature: float = Field(1.0, ge=0, le=100, description="0 takes the most probable token.")
    top_p: float = Field(1.0, gt=0, le=1, description="Draw from the most probable of this mass.")
    n: int = Field(1, ge=1, le=128, description="Choices for each prompt.")
    best_of: int | None = Field(
        None, ge=1, le=128, description="Generate so many, answer the n best."
    )
    logprobs: int | None = Field(None, ge=0, le=100, description="Alternatives at each token.")
    echo: bool = Field(False, description="Answer the prompt too, with its log-probabilities.")
    stop: str | Annotated[list[str], Field(max_length=16)] | None = Field(
        None, description="Texts before which a choice ends."
    )
    seed: int | None = Field(None, description="The same seed gives the same text.")
    stream: bool = Field(False, description="Answer in server-sent events.")
    suffix: None = Field(None, description="Not supported.")
    prompt_logprobs: int | None = Field(
        None, ge=1, le=20, description="Alternatives at each token of the prompt, by id."
    )


class CompletionLogprobs(BaseModel):
    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class Choice(BaseModel):
    index: int
    text: str
    finish_reason: Literal["stop", "length"] | None
    logprobs: CompletionLogprobs | None = None
    prompt_logprobs: list[dict[str, Any] | None] | None = None


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionResponse(BaseModel):
    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int = Field(description="Seconds since 1970.")
    model: str
    choices: list[Choice]
    usage: Usage | None = None


class ModelEntry(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "tiedlm"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelEntry]


class TokenizeRequest(Request):
    prompt: str = Field(description="The text.", examples=["The capital of"])
    add_special_tokens: bool = Field(True, description="Put the prefix token before it.")


class TokenizeResponse(BaseModel):
    tokens: list[int]
    count: int
    max_model_len: int


class DetokenizeRequest(Request):
    tokens: list[int] = Field(description="Vocabulary ids.", examples=[[2, 3]])


class DetokenizeResponse(BaseModel):
    prompt: str


class TokenizerInfo(BaseModel):
    eos_token: str
    bos_token: str
    unk_token: str | None
    tokenizer_class: str
    vocabulary_size: int
