"""The request body of `/score`."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from service.arrays import CacheSettings
from service.http.body.list_limits import Lists
from service.http.schema_types import (
    EXAMPLE_STATE,
    FailFastList,
    StrictRequest,
    UnicodeStr,
    with_examples,
)
from service.limits import MAX_CACHE_THETA, MAX_CACHE_WINDOW, MAX_INTEGER, MAX_TOP

Unit = Literal["nats", "bits", "bans"]


def _check_probabilities(distribution: Any) -> Any:
    """Raise ValueError for the first wrong probability: pydantic would report every one."""
    for word, share in distribution.items() if isinstance(distribution, dict) else ():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(f"the probability of {word[:100]!r} is not a number from 0 to 1")
    return distribution


Distribution = Annotated[
    dict[UnicodeStr, Annotated[float, Field(ge=0, le=1)]], BeforeValidator(_check_probabilities)
]


class Cache(StrictRequest):
    window: int = Field(
        2000,
        ge=1,
        le=MAX_CACHE_WINDOW,
        description="Positions back that are remembered.",
        examples=[2000],
    )
    theta: float = Field(
        0.3,
        ge=0,
        le=MAX_CACHE_THETA,
        description="0 counts words alone; more asks for like places.",
        examples=[0.3],
    )
    interpolation: float = Field(
        0.1,
        alias="lambda",
        gt=0,
        lt=1,
        description="The cache's share of a probability.",
        examples=[0.1],
    )

    def settings(self) -> CacheSettings:
        """Return the settings of the neural cache."""
        return CacheSettings(self.window, self.theta, self.interpolation)


class ScoreRequest(StrictRequest):
    model_config = with_examples(
        {"text": "The old river", "top": 2},
        {"texts": ["The old river", "The young river"], "tokens": False, "unit": "bits"},
    )

    lists: ClassVar[Lists] = {
        "texts": ("texts",),
        "token_ids": ("texts", "tokens"),
        "contexts": ("texts",),
        "targets": ("texts", "tokens"),
    }

    text: UnicodeStr | None = Field(
        None, description="One text to score.", examples=["The old river"]
    )
    texts: Annotated[FailFastList[UnicodeStr], Field(min_length=1)] | None = Field(
        None,
        description="Several texts to score.",
        examples=[["The old river", "The young river"]],
    )
    token_ids: Annotated[FailFastList[FailFastList[int]], Field(min_length=1)] | None = Field(
        None,
        description="Texts as vocabulary ids; nothing is added to them but by bos and eos.",
        examples=[[[12, 392, 714]]],
    )
    context: UnicodeStr | None = Field(
        None,
        description="What stands before every text: it conditions and is not scored.",
        examples=["They went on."],
    )
    contexts: FailFastList[UnicodeStr] | None = Field(
        None, description="A context for each text.", examples=[["They went on.", "It rained."]]
    )
    bos: bool = Field(
        True,
        description="Start from the prefix token <eos>. If false, a first token that nothing "
        "stands before has logprob null and is not counted, nor are its bytes, characters and "
        "word.",
        examples=[True],
    )
    eos: bool = Field(True, description="Score the end of each text, <eos>, too.", examples=[True])
    unit: Unit = Field(
        "nats",
        description="Unit of cross-entropies; logprob is always natural.",
        examples=["bits"],
    )
    tokens: bool = Field(
        True, description="Per-token detail; false gives the aggregates only.", examples=[True]
    )
    details: bool = Field(False, description="Add rank and entropy to each token.", examples=[True])
    top: int = Field(
        0,
        ge=0,
        le=MAX_TOP,
        description="How many alternatives to list at each token, of a smaller vocabulary all.",
        examples=[2],
    )
    targets: FailFastList[FailFastList[Distribution]] | None = Field(
        None,
        description="Soft targets: for each text, and for each of its scored positions, a "
        "distribution over words that sums to 1. Adds soft_cross_entropy, the dense form.",
        examples=[[[{"The": 0.9, "A": 0.1}, {"old": 1.0}, {"river": 1.0}, {"<eos>": 1.0}]]],
    )
    top_g: int | None = Field(
        None,
        ge=1,
        le=MAX_INTEGER,
        description="Add anomalous to each token: it is not among the g most probable (DeepLog).",
        examples=[9],
    )
    cache: Cache | None = Field(
        None,
        description="For long texts: a continuous cache (Grave et al. 2017) of each text's own "
        "words. Not with details, top, top_g or targets, and at most 100,000 positions remembered "
        "over all texts.",
        examples=[{"window": 2000, "theta": 0.3, "lambda": 0.1}],
    )
    calibration: str | None = Field(
        None,
        description="Add percentile to each result, by a table that the server was started with; "
        "/info lists them. Of whole texts: not with bos or eos false, a context, state or cache.",
        examples=["news"],
    )
    state: str | None = Field(
        None,
        description="Go on from a state handle: nothing is put before the text then.",
        examples=[EXAMPLE_STATE],
    )
    return_state: bool = Field(
        False,
        description="Return a handle of the state after each text, its <eos> included.",
        examples=[True],
    )

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        given = [x for x in (self.text, self.texts, self.token_ids) if x is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of text, texts and token_ids")
        if self.context is not None and self.contexts is not None:
            raise ValueError("give context or contexts, not both")
        if self.contexts is not None and len(self.contexts) != self.count:
            raise ValueError(f"contexts has {len(self.contexts)} entries for {self.count} texts")
        if self.cache is not None and (self.details or self.top or self.top_g or self.targets):
            raise ValueError("cache cannot be combined with details, top, top_g or targets")
        conflicts = {"bos", "context", "contexts"} & self.model_fields_set
        if self.state is not None and conflicts:
            raise ValueError(f"state cannot be combined with {min(conflicts)}")
        return self

    @property
    def source(self) -> Literal["text", "texts", "token_ids"]:
        """The field that holds the texts to score."""
        if self.token_ids is not None:
            return "token_ids"
        return "text" if self.texts is None else "texts"

    @property
    def count(self) -> int:
        """The number of texts to score."""
        return len(self.texts or self.token_ids or [self.text])
