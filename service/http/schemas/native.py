"""The bodies of `/score`, `/next-token` and `/rescore`. An unknown field is an error: a typo must
not pass.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.http.schemas.examples import example_of
from service.http.schemas.text import Text

Unit = Literal["nats", "bits", "bans"]

# Wide enough for any recogniser, and no sum of them is infinite.
Weight = Annotated[float, Field(ge=-1e9, le=1e9)]

HANDLE = "AQ0TrNb1NMgPuweIku5Mta1zQ6IBeCAh1bpICrHiPNLwFfaZ"


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _whole(*examples: dict[str, Any]) -> ConfigDict:
    """Requests that can be sent as they are: examples of all fields at once exclude each other."""
    return ConfigDict(json_schema_extra={"examples": list(examples)})


class ScoreRequest(Request):
    model_config = _whole(
        {"text": "The old river", "top": 2},
        {"texts": ["The old river", "The young river"], "tokens": False, "unit": "bits"},
    )

    text: Text | None = Field(None, description="One text to score.", examples=["The old river"])
    texts: Annotated[list[Text], Field(min_length=1)] | None = Field(
        None,
        description="Several texts to score.",
        examples=[["The old river", "The young river"]],
    )
    token_ids: Annotated[list[list[int]], Field(min_length=1)] | None = Field(
        None,
        description="Texts as vocabulary ids; nothing is added to them but by bos and eos.",
        examples=[[[12, 392, 714]]],
    )
    context: Text | None = Field(
        None,
        description="What stands before every text: it conditions and is not scored.",
        examples=["They went on."],
    )
    contexts: list[Text] | None = Field(
        None, description="A context for each text.", examples=[["They went on.", "It rained."]]
    )
    bos: bool = Field(
        True,
        description="Start from the prefix token <eos>. If false, a first token that nothing "
        "stands before has logprob null and is not counted.",
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
        0, ge=0, le=100, description="How many alternatives to list at each token.", examples=[2]
    )
    targets: list[list[dict[Text, Annotated[float, Field(ge=0, le=1)]]]] | None = Field(
        None,
        description="Soft targets: for each text, and for each of its scored positions, a "
        "distribution over words that sums to 1. Adds soft_cross_entropy, the dense form.",
        examples=[[[{"The": 0.9, "A": 0.1}, {"old": 1.0}, {"river": 1.0}, {"<eos>": 1.0}]]],
    )
    top_g: int | None = Field(
        None,
        ge=1,
        description="Add anomalous to each token: it is not among the g most probable (DeepLog).",
        examples=[9],
    )
    state: str | None = Field(
        None,
        description="Go on from a state handle: nothing is put before the text then.",
        examples=[HANDLE],
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
        refused = {"bos", "context", "contexts"} & self.model_fields_set
        if self.state is not None and refused:
            raise ValueError(f"with state there is no {sorted(refused)[0]}")
        return self

    @property
    def count(self) -> int:
        return len(self.texts or self.token_ids or [self.text])


class Hypothesis(Request):
    text: Text = Field(
        description="What may have been said or written.", examples=["the old river"]
    )
    score: Weight = Field(
        0.0, description="The recogniser's own score, a logarithm.", examples=[-3.5]
    )
    id: Text | None = Field(None, description="Given back with the result.", examples=["a"])


class RescoreRequest(Request):
    model_config = _whole(
        {
            "hypotheses": [
                {"text": "the old river", "score": -3.5},
                {"text": "the cold river", "score": -3.1},
            ],
            "lm_weight": 0.5,
        }
    )

    hypotheses: Annotated[list[Hypothesis], Field(min_length=1)] = Field(
        description="An n-best list; what its texts begin with alike is read once.",
        examples=[[example_of(Hypothesis)]],
    )
    context: Text | None = Field(
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


class Alternative(BaseModel):
    id: int = Field(description="Vocabulary id.", examples=[0])
    text: str = Field(description="The vocabulary's entry.", examples=["<unk>"])
    logprob: float = Field(description="Natural.", examples=[-1.7472])


class TokenScore(BaseModel):
    id: int = Field(description="Vocabulary id.", examples=[12])
    text: str = Field(
        description="The vocabulary's entry; the surface is text[start:end].", examples=["The"]
    )
    start: int | None = Field(
        description="Offset in Unicode code points; null for token_ids.", examples=[0]
    )
    end: int | None = Field(
        description="Where the token ends; the end of a text is empty.", examples=[3]
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
        description="Per byte of UTF-8.", examples=[1.8044]
    )
    cross_entropy_per_character: float | None = Field(
        description="Per Unicode code point.", examples=[1.8044]
    )
    word_count: int = Field(
        description="Words between white space, the same for any tokenizer.", examples=[3]
    )
    cross_entropy_per_word: float | None = Field(
        description="Total over word_count.", examples=[7.8192]
    )


class TextResult(Aggregates):
    tokens: list[TokenScore] | None = Field(
        None, description="The text's tokens, in order.", examples=[[example_of(TokenScore)]]
    )
    state: str | None = Field(
        None, description="Handle of the state after the text.", examples=[HANDLE]
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


class NextTokenRequest(Request):
    model_config = _whole(
        {"context": "The capital of", "exclude_special": True},
        {"context": "The old", "prefix": "r", "candidates": ["river"], "top_k": 3},
    )

    context: Text | None = Field(None, description="The text so far.", examples=["The capital of"])
    token_ids: list[int] | None = Field(
        None, description="The text so far as vocabulary ids.", examples=[[12, 392]]
    )
    bos: bool = Field(True, description="Start from the prefix token <eos>.", examples=[True])
    top_k: int = Field(
        10, ge=0, description="How many words to list, up to the vocabulary.", examples=[10]
    )
    candidates: Annotated[list[Annotated[Text, Field(max_length=1000)]], Field(max_length=1000)] = (
        Field([], description="Words to answer about, whatever their rank.", examples=[["river"]])
    )
    prefix: Text | None = Field(
        None,
        description="Only words that start so, renormalised: a word while it is typed.",
        examples=["r"],
    )
    temperature: float = Field(
        1.0, gt=0, description="softmax(logits ÷ temperature).", examples=[1.0]
    )
    exclude_special: bool = Field(False, description="Leave out <unk> and <eos>.", examples=[True])
    state: str | None = Field(
        None,
        description="Go on from a state handle; the context is what came after it.",
        examples=[HANDLE],
    )
    return_state: bool = Field(
        False, description="Return a handle of the state after the context.", examples=[True]
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.context is not None and self.token_ids is not None:
            raise ValueError("give context or token_ids, not both")
        if self.state is not None and "bos" in self.model_fields_set:
            raise ValueError("with state there is no bos")
        return self


class RankedToken(BaseModel):
    id: int = Field(description="Vocabulary id.", examples=[714])
    text: str = Field(description="The vocabulary's entry.", examples=["river"])
    probability: float = Field(description="After renormalising.", examples=[0.0076])
    logprob: float = Field(description="Its natural logarithm.", examples=[-4.882])
    rank: int = Field(description="1 is the most probable.", examples=[26])


class CandidateToken(BaseModel):
    candidate: str = Field(description="The word as it was asked for.", examples=["river"])
    id: int = Field(description="Vocabulary id.", examples=[714])
    text: str = Field(description="The vocabulary's entry.", examples=["river"])
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
        None, description="Handle of the state after the context.", examples=[HANDLE]
    )
