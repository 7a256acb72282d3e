"""The request and response bodies of `/next-token`."""

from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, Field, model_validator

from service.http.body.list_limits import Lists
from service.http.schema_types import (
    EXAMPLE_STATE,
    FailFastList,
    StrictRequest,
    UnicodeStr,
    example_of,
    with_examples,
)
from service.limits import MAX_CANDIDATE_LENGTH, MAX_CANDIDATES, MAX_INTEGER


class NextTokenRequest(StrictRequest):
    model_config = with_examples(
        {"context": "The capital of", "exclude_special": True},
        {"context": "The old", "prefix": "r", "candidates": ["river"], "top_k": 3},
    )

    lists: ClassVar[Lists] = {"token_ids": ("tokens",)}

    context: UnicodeStr | None = Field(
        None, description="The text so far.", examples=["The capital of"]
    )
    token_ids: FailFastList[int] | None = Field(
        None, description="The text so far as vocabulary ids.", examples=[[12, 392]]
    )
    bos: bool = Field(True, description="Start from the prefix token <eos>.", examples=[True])
    top_k: int = Field(
        10,
        ge=0,
        le=MAX_INTEGER,
        description="How many words to list, up to the vocabulary.",
        examples=[10],
    )
    candidates: Annotated[
        FailFastList[Annotated[UnicodeStr, Field(max_length=MAX_CANDIDATE_LENGTH)]],
        Field(max_length=MAX_CANDIDATES),
    ] = Field(
        [],
        description="Words to answer about, whatever their rank. Where tokens are pieces of "
        "words, with the space that stands before one.",
        examples=[["river"]],
    )
    prefix: UnicodeStr | None = Field(
        None,
        description="Only words that start so, renormalised: a word while it is typed. Where "
        "tokens are pieces of words, those that spell such a start, a space before it or not; "
        "with a space here, only those with it.",
        examples=["r"],
    )
    temperature: float = Field(
        1.0, gt=0, description="softmax(logits ÷ temperature).", examples=[1.0]
    )
    exclude_special: bool = Field(False, description="Leave out <unk> and <eos>.", examples=[True])
    state: str | None = Field(
        None,
        description="Go on from a state handle; the context is what came after it.",
        examples=[EXAMPLE_STATE],
    )
    return_state: bool = Field(
        False, description="Return a handle of the state after the context.", examples=[True]
    )

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        if self.context is not None and self.token_ids is not None:
            raise ValueError("give context or token_ids, not both")
        if self.state is not None and "bos" in self.model_fields_set:
            raise ValueError("state cannot be combined with bos")
        return self


class RankedToken(BaseModel):
    id: int = Field(description="Vocabulary id.", examples=[714])
    text: str = Field(description="The vocabulary's entry.", examples=["river"])
    surface: str = Field(
        description="What the token adds to the text, <eos> a newline; bytes that complete no "
        "character are written bytes:\\xNN.",
        examples=["river"],
    )
    probability: float = Field(description="After renormalising.", examples=[0.0076])
    logprob: float = Field(description="Its natural logarithm.", examples=[-4.882])
    rank: int = Field(description="1 is the most probable.", examples=[26])


class CandidateToken(BaseModel):
    candidate: str = Field(description="The word as it was asked for.", examples=["river"])
    id: int = Field(description="Vocabulary id.", examples=[714])
    text: str = Field(description="The vocabulary's entry.", examples=["river"])
    surface: str = Field(
        description="What that token adds to the text; of an unknown word the word as it was "
        "asked for.",
        examples=["river"],
    )
    probability: float = Field(
        description="After renormalising; 0 where the word was left out.", examples=[0.0076]
    )
    logprob: float | None = Field(
        description="null where the word was left out.", examples=[-4.882]
    )
    rank: int | None = Field(description="null where the word was left out.", examples=[26])
    oov: bool = Field(description="The word is unknown: these are <unk>'s.", examples=[False])


class NextTokenResponse(BaseModel):
    model: str = Field(description="The bundle's name.", examples=["starter"])
    vocabulary_size: int = Field(description="Ids are below it.", examples=[14000])
    tokens: list[RankedToken] = Field(
        description="By falling probability, equal ones by id.",
        examples=[[example_of(RankedToken)]],
    )
    candidates: list[CandidateToken] = Field(
        description="As they were asked for, in order.", examples=[[example_of(CandidateToken)]]
    )
    entropy: float | None = Field(
        description="In nats, of the distribution that was listed from.", examples=[5.4553]
    )
    remaining_probability: float = Field(
        description="Of all words that are not in tokens.", examples=[0.9465]
    )
    prefix_probability: float | None = Field(
        None, description="Mass of the words that start with prefix.", examples=[0.0438]
    )
    state: str | None = Field(
        None, description="Handle of the state after the context.", examples=[EXAMPLE_STATE]
    )
