"""The response bodies of the OpenAI-compatible routes."""

from typing import Literal

from pydantic import BaseModel, Field

from service.http.schema_types import example_of


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


class TokenizeResponse(BaseModel):
    tokens: list[int] = Field(description="Vocabulary ids.", examples=[[1, 12, 392, 714]])
    count: int = Field(description="How many.", examples=[4])
    max_model_len: int = Field(description="Tokens that a request may hold.", examples=[200000])


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
