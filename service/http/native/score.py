"""The bodies of `/score`."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from service.arrays import CacheSettings
from service.http.body.list_limits import Lists
from service.http.schema_types import (
    EXAMPLE_STATE,
    FailFastList,
    StrictRequest,
    UnicodeStr,
    example_of,
    with_examples,
)
from service.limits import MAX_INTEGER, MAX_TOP

Unit = Literal["nats", "bits", "bans"]


def _first_wrong(given: Any) -> Any:
    """A mapping cannot stop at its first wrong entry as a list does."""
    for word, share in given.items() if isinstance(given, dict) else ():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(f"the probability of {word[:100]!r} is no number of 0 to 1")
    return given


Distribution = Annotated[
    dict[UnicodeStr, Annotated[float, Field(ge=0, le=1)]], BeforeValidator(_first_wrong)
]


class Cache(StrictRequest):
    window: int = Field(
        2000, ge=1, le=10_000, description="Positions back that are remembered.", examples=[2000]
    )
    theta: float = Field(
        0.3,
        ge=0,
        le=100,
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
    def _one_source(self) -> Self:
        given = [x for x in (self.text, self.texts, self.token_ids) if x is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of text, texts and token_ids")
        if self.context is not None and self.contexts is not None:
            raise ValueError("give context or contexts, not both")
        if self.contexts is not None and len(self.contexts) != self.count:
            raise ValueError(f"contexts has {len(self.contexts)} entries for {self.count} texts")
        if self.cache is not None and (self.details or self.top or self.top_g or self.targets):
            raise ValueError("with cache there is no details, top, top_g or targets")
        refused = {"bos", "context", "contexts"} & self.model_fields_set
        if self.state is not None and refused:
            raise ValueError(f"with state there is no {sorted(refused)[0]}")
        return self

    @property
    def count(self) -> int:
        return len(self.texts or self.token_ids or [self.text])


class Alternative(BaseModel):
    id: int = Field(description="Vocabulary id.", examples=[0])
    text: str = Field(description="The vocabulary's entry.", examples=["<unk>"])
    surface: str = Field(
        description="What the token adds to the text before it, <eos> a newline; bytes that "
        "complete no character are written bytes:\\xNN.",
        examples=["<unk>"],
    )
    logprob: float = Field(description="Natural.", examples=[-1.7472])


class TokenScore(BaseModel):
    id: int = Field(description="Vocabulary id.", examples=[12])
    text: str = Field(description="The vocabulary's entry.", examples=["The"])
    surface: str = Field(
        description="The piece of the text: text[start:end] as it was sent, of token_ids as they "
        "decode. The end of a text is empty.",
        examples=["The"],
    )
    start: int | None = Field(
        description="Offset in Unicode code points; null for token_ids.", examples=[0]
    )
    end: int | None = Field(
        description="Where the token ends; the end of a text is empty. Where a character is "
        "several tokens, each spans all of it.",
        examples=[3],
    )
    logprob: float | None = Field(
        description="Natural logarithm of the token's probability; null after nothing.",
        examples=[-2.262],
    )
    cross_entropy: float | None = Field(
        description="−log probability, in the unit asked for.", examples=[2.262]
    )
    oov: bool = Field(description="True where the id is <unk>.", examples=[False])
    rank: int | None = Field(
        None, description="1 is the most probable word; with details.", examples=[2]
    )
    entropy: float | None = Field(
        None,
        description="Of the distribution the token was drawn from, in the unit; with details.",
        examples=[6.0607],
    )
    soft_cross_entropy: float | None = Field(
        None, description="−Σ p log q; with targets.", examples=[2.262]
    )
    anomalous: bool | None = Field(
        None, description="Not among the g most probable; with top_g.", examples=[False]
    )
    top: list[Alternative] | None = Field(
        None,
        description="The most probable words; with top.",
        examples=[[example_of(Alternative)]],
    )


class WordScore(BaseModel):
    """A word between white space, by the sums of its tokens. White space counts for the word that
    follows it, at the end of the text for the last; <eos> for none.
    """

    text: str = Field(description="The word as it was sent.", examples=["river"])
    start: int = Field(description="Offset in Unicode code points.", examples=[8])
    end: int = Field(description="Where the word ends.", examples=[13])
    logprob: float | None = Field(
        description="Natural; null where none of its tokens was scored.", examples=[-8.1502]
    )
    cross_entropy: float | None = Field(
        description="−log probability, in the unit asked for.", examples=[8.1502]
    )
    token_count: int = Field(description="Its scored tokens.", examples=[2])


class Aggregates(BaseModel):
    """Totals over scored tokens, and totals divided by a count."""

    token_count: int = Field(description="Scored tokens.", examples=[4])
    oov_count: int = Field(description="How many of them are <unk>.", examples=[0])
    total_cross_entropy: float = Field(description="In the unit.", examples=[23.4575])
    mean_cross_entropy: float | None = Field(
        description="Per token; null over nothing.", examples=[5.8644]
    )
    perplexity: float | None = Field(
        description="null over nothing, or beyond a double's range.", examples=[352.26]
    )
    perplexity_excluding_oov: float | None = Field(
        description="Over the tokens that are not <unk>.", examples=[352.26]
    )
    cross_entropy_per_byte: float | None = Field(
        description="Per byte of UTF-8, those of an unscored first token left out; null over "
        "nothing, as the next two.",
        examples=[1.8044],
    )
    cross_entropy_per_character: float | None = Field(
        description="Per Unicode code point.", examples=[1.8044]
    )
    word_count: int = Field(
        description="Words between white space, the same for any tokenizer. With bos false, those "
        "after the unscored first token, the rest of its own word included.",
        examples=[3],
    )
    cross_entropy_per_word: float | None = Field(
        description="Total over word_count.", examples=[7.8192]
    )


class TextResult(Aggregates):
    tokens: list[TokenScore] | None = Field(
        None, description="The text's tokens, in order.", examples=[[example_of(TokenScore)]]
    )
    words: list[WordScore] | None = Field(
        None,
        description="With tokens, of a model whose words are several tokens: their sums for each "
        "word. Not for token_ids.",
        examples=[[example_of(WordScore)]],
    )
    percentile: float | None = Field(
        None,
        description="The share of the calibration's texts, 0 to 100, whose mean cross-entropy is "
        "lower.",
        examples=[71.3],
    )
    state: str | None = Field(
        None, description="Handle of the state after the text.", examples=[EXAMPLE_STATE]
    )


class ScoreResponse(BaseModel):
    model: str = Field(description="The bundle's name.", examples=["starter"])
    unit: Unit = Field(description="As it was asked for.", examples=["nats"])
    vocabulary_size: int = Field(description="Ids are below it.", examples=[14000])
    results: list[TextResult] = Field(
        description="One for each text, in order.", examples=[[example_of(TextResult)]]
    )
    summary: Aggregates = Field(
        description="The same over all texts: totals over counts.",
        examples=[example_of(Aggregates)],
    )
