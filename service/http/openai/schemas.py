"""The bodies of the OpenAI-compatible routes. Unknown fields are ignored: clients send extras."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema

from service.http.body.list_limits import Lists
from service.http.schema_types import FailFastList, RequestBody, UnicodeStr, example_of
from service.limits import MAX_INTEGER

TokenIds = FailFastList[int]


# What JSON Schema says about a field and not about its value.
ABOUT = ("title", "description", "default", "examples")


class Request(RequestBody):
    """A request in which null means "not given", wherever a field has a default."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict) or None not in given.values():
            return given
        fields = cls.model_fields
        left_out = {n for n, value in given.items() if value is None and n in fields}
        left_out -= {name for name in left_out if fields[name].is_required()}
        return {name: value for name, value in given.items() if name not in left_out}

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
    """Return the JSON Schema of a field that may be null too."""
    value = {key: part for key, part in field.items() if key not in ABOUT}
    choices = value.get("anyOf", [value])
    if {"type": "null"} in choices:
        return field
    about = {key: part for key, part in field.items() if key in ABOUT}
    return {"anyOf": [*choices, {"type": "null"}], **about}


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
        1.0, ge=0, le=100, description="0 takes the most probable token.", examples=[0.8]
    )
    top_p: float = Field(
        1.0, gt=0, le=1, description="Draw from the most probable of this mass.", examples=[0.95]
    )
    n: int = Field(1, ge=1, le=128, description="Choices for each prompt.", examples=[1])
    best_of: int | None = Field(
        None, ge=1, le=128, description="Generate so many, answer the n best.", examples=[1]
    )
    logprobs: int | None = Field(
        None, ge=0, le=100, description="Alternatives at each token.", examples=[1]
    )
    echo: bool = Field(
        False,
        description="Answer the prompt too, with its log-probabilities.",
        examples=[True],
    )
    stop: UnicodeStr | Annotated[FailFastList[UnicodeStr], Field(max_length=16)] | None = Field(
        None, description="Texts before which a choice ends.", examples=[["."]]
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
        le=20,
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
        """True if the request scores prompts and generates at most one token, as evaluation tools do."""
        return self.scores_prompts and self.max_tokens <= 1

    @property
    def max_alternatives(self) -> int:
        """The number of alternatives at any token of the response."""
        return max(self.logprobs or 0, self.prompt_logprobs or 0)


class CompletionLogprobs(BaseModel):
    """Parallel arrays over the tokens of an echoed prompt and of the completion."""

    tokens: list[str] = Field(
        description="What each token spells; bytes that are no whole character as bytes:\\xNN.",
        examples=[["The", "old"]],
    )
    token_logprobs: list[float | None] = Field(
        description="Natural; null where nothing stood before the token.",
        examples=[[-2.262, -7.0036]],
    )
    top_logprobs: list[dict[str, float] | None] = Field(
        description="The most probable tokens, and the actual one with its very float.",
        examples=[[{"<unk>": -1.7472, "The": -2.262}, {"<unk>": -2.6097, "old": -7.0036}]],
    )
    text_offset: list[int] = Field(
        description="Where each token starts in the choice's text, in Unicode code points. Where a "
        "character is several tokens, each starts with it.",
        examples=[[0, 4]],
    )


class PromptLogprob(BaseModel):
    logprob: float = Field(description="Natural.", examples=[-2.262])
    decoded_token: str = Field(description="As in logprobs.tokens.", examples=["The"])
    rank: int = Field(description="1 is the most probable.", examples=[2])


class Choice(BaseModel):
    index: int = Field(description="Prompt by prompt, n for each.", examples=[0])
    text: str = Field(description="The completion, after the prompt with echo.", examples=["The"])
    finish_reason: Literal["stop", "length"] | None = Field(
        description="stop: the end of a line, or a stop text; length: max_tokens.",
        examples=["length"],
    )
    logprobs: CompletionLogprobs | None = Field(
        None, description="With logprobs.", examples=[example_of(CompletionLogprobs)]
    )
    prompt_logprobs: list[dict[str, PromptLogprob] | None] | None = Field(
        None,
        description="For each token of the prompt the most probable by id, the actual one first.",
        examples=[[{"12": example_of(PromptLogprob)}]],
    )


class Usage(BaseModel):
    prompt_tokens: int = Field(description="Tokens of all prompts.", examples=[3])
    completion_tokens: int = Field(
        description="Tokens generated, those of best_of too.", examples=[8]
    )
    total_tokens: int = Field(description="Both.", examples=[11])


class CompletionResponse(BaseModel):
    id: str = Field(description="New for each request.", examples=["cmpl-5940d08b0cfa4024"])
    object: Literal["text_completion"] = Field(
        "text_completion", description="The kind of object.", examples=["text_completion"]
    )
    created: int = Field(description="Seconds since 1970.", examples=[1795372883])
    model: str = Field(description="The bundle's name.", examples=["starter"])
    choices: list[Choice] = Field(
        description="n for each prompt, in order.", examples=[[example_of(Choice)]]
    )
    usage: Usage | None = Field(
        None, description="What was read and generated.", examples=[example_of(Usage)]
    )


class ModelEntry(BaseModel):
    id: str = Field(description="The name as requests give it.", examples=["starter"])
    object: Literal["model"] = Field("model", description="The kind of object.", examples=["model"])
    created: int = Field(description="Seconds since 1970.", examples=[1795372883])
    owned_by: str = Field("tiedlm", description="Always tiedlm.", examples=["tiedlm"])


class ModelList(BaseModel):
    object: Literal["list"] = Field("list", description="The kind of object.", examples=["list"])
    data: list[ModelEntry] = Field(
        description="The one model served.", examples=[[example_of(ModelEntry)]]
    )


class TokenizeRequest(Request):
    prompt: UnicodeStr = Field(description="The text.", examples=["The old river"])
    add_special_tokens: bool = Field(
        True, description="Put the prefix token before it.", examples=[True]
    )


class TokenizeResponse(BaseModel):
    tokens: list[int] = Field(description="Vocabulary ids.", examples=[[1, 12, 392, 714]])
    count: int = Field(description="How many.", examples=[4])
    max_model_len: int = Field(description="Tokens that a request may hold.", examples=[200000])


class DetokenizeRequest(Request):
    lists: ClassVar[Lists] = {"tokens": ("tokens",)}

    tokens: TokenIds = Field(description="Vocabulary ids.", examples=[[12, 392, 714]])


class DetokenizeResponse(BaseModel):
    prompt: str = Field(
        description="Readable text that tokenizes to the same ids.", examples=["The old river"]
    )


class TokenizerInfo(BaseModel):
    eos_token: str = Field(description="Ends a line, and a text.", examples=["<eos>"])
    bos_token: str = Field(description="Stands before a text.", examples=["<eos>"])
    unk_token: str | None = Field(
        description="Stands for words out of the vocabulary.", examples=["<unk>"]
    )
    tokenizer_class: str = Field(description="Always tiedlm.", examples=["tiedlm"])
    vocabulary_size: int = Field(description="Ids are below it.", examples=[14000])
