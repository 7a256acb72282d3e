"""The request bodies of the OpenAI-compatible routes.

Unknown fields are ignored, because clients send fields that other servers support.
"""

from typing import Annotated, Any, ClassVar

from pydantic import (
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema

from service.http.body.list_limits import Lists
from service.http.schema_types import FailFastList, RequestBody, UnicodeStr
from service.limits import (
    MAX_CHOICES,
    MAX_INTEGER,
    MAX_PROMPT_LOGPROBS,
    MAX_STOPS,
    MAX_TEMPERATURE,
    MAX_TOP,
)

TokenIds = FailFastList[int]

# Keywords of JSON Schema that describe a field and do not constrain its value.
ANNOTATIONS = ("title", "description", "default", "examples")


class Request(RequestBody):
    """A request in which null stands for a missing field, if the field has a default."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _remove_nulls(cls, body: Any) -> Any:
        if not isinstance(body, dict) or None not in body.values():
            return body
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {
            name: value for name, value in body.items() if value is not None or name not in optional
        }

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core))
        for name, field in schema["properties"].items():
            if name not in schema.get("required", []):
                schema["properties"][name] = _or_null(field)
        return schema


def _or_null(field: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a field that may also be null."""
    constraints = {key: part for key, part in field.items() if key not in ANNOTATIONS}
    types = constraints.get("anyOf", [constraints])
    if {"type": "null"} in types:
        return field
    annotations = {key: part for key, part in field.items() if key in ANNOTATIONS}
    return {"anyOf": [*types, {"type": "null"}], **annotations}


class StreamOptions(Request):
    include_usage: bool = Field(
        False,
        description="Send one more event before [DONE], without choices, that holds the usage. The "
        "usage of all other events is null.",
        examples=[True],
    )


class CompletionRequest(Request):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "tiedlm", "prompt": "The old river", "max_tokens": 8, "seed": 1},
                {
                    "model": "tiedlm",
                    "prompt": "The old river",
                    "max_tokens": 0,
                    "echo": True,
                    "logprobs": 1,
                },
            ]
        }
    )

    lists: ClassVar[Lists] = {"prompt": ("texts", "tokens")}

    model: str = Field(description="The bundle's name, or tiedlm.", examples=["tiedlm"])
    prompt: UnicodeStr | FailFastList[UnicodeStr] | TokenIds | FailFastList[TokenIds] = Field(
        description="One or several texts, or their ids. Ids get no token added.",
        examples=["The old river"],
    )
    max_tokens: int = Field(
        16,
        ge=0,
        le=MAX_INTEGER,
        description="Tokens to generate; 0 only with echo.",
        examples=[16],
    )
    temperature: float = Field(
        1.0,
        ge=0,
        le=MAX_TEMPERATURE,
        description="0 takes the most probable token.",
        examples=[0.8],
    )
    top_p: float = Field(
        1.0, gt=0, le=1, description="Draw from the most probable of this mass.", examples=[0.95]
    )
    n: int = Field(1, ge=1, le=MAX_CHOICES, description="Choices for each prompt.", examples=[1])
    best_of: int | None = Field(
        None, ge=1, le=MAX_CHOICES, description="Generate so many, answer the n best.", examples=[1]
    )
    logprobs: int | None = Field(
        None, ge=0, le=MAX_TOP, description="Alternatives at each token.", examples=[1]
    )
    echo: bool = Field(
        False,
        description="Answer the prompt too, with its log-probabilities.",
        examples=[True],
    )
    stop: UnicodeStr | Annotated[FailFastList[UnicodeStr], Field(max_length=MAX_STOPS)] | None = (
        Field(None, description="Texts before which a choice ends.", examples=[["."]])
    )
    seed: int | None = Field(
        None,
        ge=-(2**63),
        lt=2**63,
        description="The same seed gives the same text.",
        examples=[1],
    )
    stream: bool = Field(False, description="Answer in server-sent events.", examples=[False])
    stream_options: StreamOptions | None = Field(
        None, description="With stream alone.", examples=[{"include_usage": True}]
    )
    suffix: None = Field(None, description="Not supported.", examples=[None])
    prompt_logprobs: int | None = Field(
        None,
        ge=1,
        le=MAX_PROMPT_LOGPROBS,
        description="Alternatives at each token of the prompt, by id.",
        examples=[1],
    )

    @property
    def includes_usage(self) -> bool:
        """True if the events of a stream carry a usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def choices_per_prompt(self) -> int:
        """The number of choices to generate for each prompt."""
        return self.best_of or self.n

    @property
    def scores_prompts(self) -> bool:
        """True if the response shows log-probabilities of the prompts."""
        return self.prompt_logprobs is not None or (self.echo and self.logprobs is not None)

    @property
    def only_scores(self) -> bool:
        """True if the request scores prompts and generates at most one token.

        Evaluation tools send such requests.
        """
        return self.scores_prompts and self.max_tokens <= 1

    @property
    def max_alternatives(self) -> int:
        """The number of alternatives at any token of the response."""
        return max(self.logprobs or 0, self.prompt_logprobs or 0)


class TokenizeRequest(Request):
    prompt: UnicodeStr = Field(description="The text.", examples=["The old river"])
    add_special_tokens: bool = Field(
        True, description="Put the prefix token before it.", examples=[True]
    )


class DetokenizeRequest(Request):
    lists: ClassVar[Lists] = {"tokens": ("tokens",)}

    tokens: TokenIds = Field(description="Vocabulary ids.", examples=[[12, 392, 714]])
