"""The bodies of `/score` and `/next-token`. An unknown field is an error: a typo must not pass."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Unit = Literal["nats", "bits", "bans"]


def _unicode(text: str) -> str:
    """JSON can escape half of a surrogate pair alone, which no encoding of Unicode can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate is not Unicode text") from None
    return text


Text = Annotated[str, AfterValidator(_unicode)]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ScoreRequest(Request):
    text: Text | None = Field(None, description="One text to score.", examples=["The cat sat."])
    texts: Annotated[list[Text], Field(min_length=1)] | None = Field(
        None, description="Several texts to score."
    )
    token_ids: Annotated[list[list[int]], Field(min_length=1)] | None = Field(
        None, description="Texts as vocabulary ids; nothing is added to them but by bos and eos."
    )
    context: Text | None = Field(
        None, description="What stands before every text: it conditions and is not scored."
    )
    contexts: list[Text] | None = Field(None, description="A context for each text.")
    bos: bool = Field(
        True,
        description="Start from the prefix token <eos>. If false, a first token that nothing "
        "stands before has logprob null and is not counted.",
    )
    eos: bool = Field(True, description="Score the end of each text, <eos>, too.")
    unit: Unit = Field("nats", description="Unit of cross-entropies; logprob is always natural.")
    tokens: bool = Field(True, description="Per-token detail; false gives the aggregates only.")
    details: bool = Field(False, description="Add rank and entropy to each token.")
    top: int = Field(0, ge=0, le=100, description="How many alternatives to list at each token.")
    targets: list[list[dict[Text, Annotated[float, Field(ge=0, le=1)]]]] | None = Field(
        None,
        description="Soft targets: for each text, and for each of its scored positions, a "
        "distribution over words that sums to 1. Adds soft_cross_entropy, the dense form.",
    )
    top_g: int | None = Field(
        None,
        ge=1,
        description="Add anomalous to each token: it is not among the g most probable (DeepLog).",
    )
    state: str | None = Field(
        None, description="Go on from a state handle: nothing is put before the text then."
    )
    return_state: bool = Field(
        False, description="Return a handle of the state after each text, its <eos> included."
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


# Wide enough for any recogniser, and no sum of them is infinite.
Weight = Annotated[float, Field(ge=-1e9, le=1e9)]


class Hypothesis(Request):
    text: Text = Field(description="What may have been said or written.")
    score: Weight = Field(0.0, description="The recogniser's own score, a logarithm.")
    id: Text | None = Field(None, description="Given back with the result.")


class RescoreRequest(Request):
    hypotheses: Annotated[list[Hypothesis], Field(min_length=1)] = Field(
        description="An n-best list; what its texts begin with alike is read once."
    )
    context: Text | None = Field(None, description="What stood before: the last sentence, say.")
    lm_weight: Weight = Field(1.0, description="Factor of the language model's log-probability.")
    length_bonus: Weight = Field(0.0, description="Added for each token, the end included.")


class RescoredHypothesis(BaseModel):
    index: int = Field(description="Where the hypothesis stood in the request.")
    id: str | None = None
    text: str
    logprob: float = Field(description="Natural logarithm of the text's probability, end included.")
    total: float = Field(description="score + lm_weight · logprob + length_bonus · token_count")
    token_count: int
    oov_count: int


class RescoreResponse(BaseModel):
    results: list[RescoredHypothesis] = Field(description="Best total first.")


class Alternative(BaseModel):
    id: int
    text: str
    logprob: float


class TokenScore(BaseModel):
    id: int
    text: str = Field(description="The vocabulary's entry; the surface is text[start:end].")
    start: int | None = Field(description="Offset in Unicode code points; null for token_ids.")
    end: int | None
    logprob: float | None = Field(description="Natural logarithm of the token's probability.")
    cross_entropy: float | None = Field(description="−log probability, in the unit asked for.")
    oov: bool = Field(description="True where the id is <unk>.")
    rank: int | None = Field(None, description="1 is the most probable word; with details.")
    entropy: float | None = Field(
        None, description="Of the distribution the token was drawn from, in the unit; with details."
    )
    soft_cross_entropy: float | None = Field(None, description="−Σ p log q; with targets.")
    anomalous: bool | None = Field(None, description="Not among the g most probable; with top_g.")
    top: list[Alternative] | None = Field(None, description="The most probable words; with top.")


class Aggregates(BaseModel):
    """Totals over scored tokens, and totals divided by a count."""

    token_count: int
    oov_count: int
    total_cross_entropy: float
    mean_cross_entropy: float | None
    perplexity: float | None = Field(description="null over nothing, or beyond a double's range.")
    perplexity_excluding_oov: float | None
    cross_entropy_per_byte: float | None = Field(description="Per byte of UTF-8.")
    cross_entropy_per_character: float | None = Field(description="Per Unicode code point.")
    word_count: int = Field(description="Words between white space, the same for any tokenizer.")
    cross_entropy_per_word: float | None


class TextResult(Aggregates):
    tokens: list[TokenScore] | None = None
    state: str | None = None


class ScoreResponse(BaseModel):
    model: str
    unit: Unit
    vocabulary_size: int
    results: list[TextResult]
    summary: Aggregates


class NextTokenRequest(Request):
    context: Text | None = Field(None, description="The text so far.", examples=["The capital of"])
    token_ids: list[int] | None = Field(None, description="The text so far as vocabulary ids.")
    bos: bool = Field(True, description="Start from the prefix token <eos>.")
    top_k: int = Field(10, ge=0, description="How many words to list, up to the vocabulary.")
    candidates: Annotated[list[Annotated[Text, Field(max_length=1000)]], Field(max_length=1000)] = (
        Field([], description="Words to answer about, whatever their rank.")
    )
    prefix: Text | None = Field(None, description="Only words that start so.", examples=["th"])
    temperature: float = Field(1.0, gt=0, description="softmax(logits ÷ temperature).")
    exclude_special: bool = Field(False, description="Leave out <unk> and <eos>.")
    state: str | None = Field(
        None, description="Go on from a state handle; the context is what came after it."
    )
    return_state: bool = Field(False, description="Return a handle of the state after the context.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.context is not None and self.token_ids is not None:
            raise ValueError("give context or token_ids, not both")
        if self.state is not None and "bos" in self.model_fields_set:
            raise ValueError("with state there is no bos")
        return self


class RankedToken(BaseModel):
    id: int
    text: str
    probability: float
    logprob: float
    rank: int


class CandidateToken(BaseModel):
    candidate: str = Field(description="The word as it was asked for.")
    id: int
    text: str
    probability: float
    logprob: float | None = Field(description="null where the word was left out.")
    rank: int | None
    oov: bool


class NextTokenResponse(BaseModel):
    model: str
    vocabulary_size: int
    tokens: list[RankedToken]
    candidates: list[CandidateToken]
    entropy: float | None = Field(description="In nats, of the distribution that was listed from.")
    remaining_probability: float = Field(description="Of all words that are not in tokens.")
    prefix_probability: float | None = None
    state: str | None = None
