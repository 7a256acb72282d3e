"""The request and response bodies of `/rescore`."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from service.http.body.list_limits import Lists
from service.http.schema_types import (
    FailFastList,
    StrictRequest,
    UnicodeStr,
    example_of,
    with_examples,
)
from service.limits import MAX_WEIGHT

Weight = Annotated[float, Field(ge=-MAX_WEIGHT, le=MAX_WEIGHT)]


class Hypothesis(StrictRequest):
    text: UnicodeStr = Field(
        description="What may have been said or written.", examples=["the old river"]
    )
    score: Weight = Field(
        0.0, description="The recogniser's own score, a logarithm.", examples=[-3.5]
    )
    id: UnicodeStr | None = Field(None, description="Given back with the result.", examples=["a"])


class RescoreRequest(StrictRequest):
    model_config = with_examples(
        {
            "hypotheses": [
                {"text": "the old river", "score": -3.5},
                {"text": "the cold river", "score": -3.1},
            ],
            "lm_weight": 0.5,
        }
    )

    lists: ClassVar[Lists] = {"hypotheses": ("texts",)}

    hypotheses: Annotated[FailFastList[Hypothesis], Field(min_length=1)] = Field(
        description="An n-best list; what its texts begin with alike is read once.",
        examples=[[example_of(Hypothesis)]],
    )
    context: UnicodeStr | None = Field(
        None,
        description="What stood before: the last sentence, say.",
        examples=["They went on."],
    )
    lm_weight: Weight = Field(
        1.0, description="Factor of the language model's log-probability.", examples=[0.5]
    )
    length_bonus: Weight = Field(
        0.0, description="Added for each token, the end included.", examples=[0.2]
    )


class RescoredHypothesis(BaseModel):
    index: int = Field(description="Where the hypothesis stood in the request.", examples=[0])
    id: str | None = Field(None, description="As it was given.", examples=["a"])
    text: str = Field(description="As it was given.", examples=["the old river"])
    logprob: float = Field(
        description="Natural logarithm of the text's probability, end included.",
        examples=[-26.3962],
    )
    total: float = Field(
        description="score + lm_weight · logprob + length_bonus · token_count",
        examples=[-15.8981],
    )
    token_count: int = Field(description="Tokens, the end included.", examples=[4])
    oov_count: int = Field(description="How many of them are <unk>.", examples=[0])


class RescoreResponse(BaseModel):
    results: list[RescoredHypothesis] = Field(
        description="Best total first, equal ones as they were given.",
        examples=[[example_of(RescoredHypothesis)]],
    )
