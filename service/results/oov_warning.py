"""When a perplexity says less than it seems: many words are unknown, and `<unk>` is cheap.

A model that met many unknown words gives `<unk>` a high probability, so that a foreign text of
nothing but unknown words can look likelier than a good one.
"""

UNKNOWN_SHARE = 0.1


def oov_warning(unknown: int, tokens: int) -> str | None:
    """Return a sentence about a perplexity over `tokens` scored tokens, ends of lines not counted,
    where more than a tenth of them are unknown; otherwise None.
    """
    if unknown <= UNKNOWN_SHARE * tokens:
        return None
    return (
        f"{unknown:,} of {tokens:,} tokens ({unknown / tokens:.0%}) are unknown words: the "
        "perplexity flatters, because <unk> is cheap; compare the perplexity without unknown "
        "words, or use a model that knows these words"
    )
