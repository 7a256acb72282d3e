"""The layout of KenLM's `query` (Heafield 2011), in decimal logarithms."""

import math

from service.bulk.output.rows import ScoredDocuments
from service.language_model import LanguageModel
from service.results.text_score import TextScore
from service.results.word_score import word_scores
from service.scoring import NATS_IN, Totals, perplexity


def query_lines(model: LanguageModel, scored: ScoredDocuments) -> bytes:
    """Return a line for each document: `word=id ngram_length log10prob` and a tab for each word,
    then the totals.

    The id 0 stands for unknown words only. If a bundle uses 0 for another entry, or a word has
    several tokens, the id is 1 + the id of the first token. ngram_length counts the words that the
    probability depends on: all words from the prefix token to this word. Each `<eos>` is a `</s>`.
    A document that is not scored is an empty line.
    """
    lines = ("\n" if score is None else _line(model, score) for _, score in scored)
    return "".join(lines).encode()


def _line(model: LanguageModel, score: TextScore) -> str:
    shift = 0 if model.info.unknown_id == 0 else 1
    parts = [
        f"{word}={0 if oov else token + shift} {length} {logprob * NATS_IN['bans']:.7g}\t"
        for length, (word, token, logprob, oov) in enumerate(_words(model, score), 2)
    ]
    total = -score.totals.nats * NATS_IN["bans"]
    return f"{''.join(parts)}Total: {total:.9g} OOV: {score.totals.oov_tokens}\n"


def _words(model: LanguageModel, score: TextScore) -> list[tuple[str, int, float, bool]]:
    """Return the word, the id of its first token, its log probability, and whether it is OOV."""
    end_id, ids = model.info.end_id, score.ids.tolist()
    assert score.starts is not None
    assert score.ends is not None
    if not model.info.subword:
        return [
            ("</s>" if token == end_id else score.text[start:end], token, logprob, oov)
            for token, start, end, logprob, oov in zip(
                ids,
                score.starts,
                score.ends,
                score.logprobs.tolist(),
                score.oov.tolist(),
                strict=True,
            )
        ]
    words = word_scores(score, end_id)
    first_ids = dict(zip(score.starts[::-1], ids[::-1], strict=True))
    entries = [
        (start, score.text[start:end], first_ids.get(start, ids[0]), logprob, False)
        for (start, end), logprob in zip(words.spans, words.logprobs.tolist(), strict=True)
    ]
    entries += [
        (start, "</s>", token, logprob, False)
        for token, start, logprob in zip(ids, score.starts, score.logprobs.tolist(), strict=True)
        if token == end_id
    ]
    return [entry[1:] for entry in sorted(entries, key=lambda entry: entry[0])]


def summary_lines(totals: Totals) -> bytes:
    """Return the last four lines of `query`.

    A perplexity beyond a double is inf, and that of no tokens nan, as C++ writes them.
    """

    def number(nats: float, count: int) -> str:
        value = perplexity(nats, count)
        return f"{(math.nan if count == 0 else math.inf) if value is None else value:.9g}"

    in_vocabulary = totals.nats - totals.oov_nats, totals.tokens - totals.oov_tokens
    return (
        f"Perplexity including OOVs:\t{number(totals.nats, totals.tokens)}\n"
        f"Perplexity excluding OOVs:\t{number(*in_vocabulary)}\n"
        f"OOVs:\t{totals.oov_tokens}\n"
        f"Tokens:\t{totals.tokens}\n"
    ).encode()
