"""The response body of `/score`."""

from pydantic import BaseModel, Field

from service.http.native.score_request_schemas import Unit
from service.http.schema_types import EXAMPLE_STATE, example_of


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
