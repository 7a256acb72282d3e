"""Subword tokenizers over bytes: BPE and Unigram, for any language, without an unknown token.

A line is first split into short *pre-tokens*: letters with the space before them, up to three
digits, other marks, or white space. No subword crosses the end of a pre-token. Their length is
bounded, so that text without spaces is not slower. They are found from left to right without
looking back, so that a long line can be encoded in parts. The UTF-8 bytes of a pre-token are
written as the 256 printable characters of GPT-2's table, where `Ġ` is a space. All 256 are in every
vocabulary.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from train.data.unigram import fit_subwords
from train.errors import CorpusError

PRE_TOKEN = Regex(
    r"['’]\p{L}{1,2}(?![\p{L}\p{M}])"
    r"| ?\p{L}[\p{L}\p{M}]{0,31}"
    r"| ?\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]{1,16}"
    r"|\s{1,16}(?!\S)|\s{1,16}"
)
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
DEFAULT_SIZE = 8000
MINIMUM_PAIRS = 2  # a pair that occurs once is noise
# Eight Chinese characters: in text without spaces, longer subwords are quotations.
LONGEST_SUBWORD = 24  # bytes
SEEDS_PER_SUBWORD = 4


def fit_bpe(lines: Iterable[str], size: int | None, end: str) -> Tokenizer:
    """Fit byte-pair encoding (Sennrich et al. 2016) with at most `size` entries, including `end`.

    Raises CorpusError if the text is empty.
    """
    learned = _train_bpe(_split_at_end(lines, end), (size or DEFAULT_SIZE) - 1)
    model = json.loads(learned.to_str())["model"]
    ranked = sorted(model["vocab"], key=model["vocab"].__getitem__)
    vocabulary = {subword: index for index, subword in enumerate(_with_end(ranked, end))}
    merges = [(left, right) for left, right in model["merges"]]
    return _byte_level(models.BPE(vocabulary, merges), end)


def fit_unigram(lines: Iterable[str], size: int | None, end: str) -> Tokenizer:
    """Fit a unigram model (Kudo 2018) with at most `size` entries, including `end`.

    It starts from the subwords of a larger BPE. Raises CorpusError if the text is empty.
    """
    count = (size or DEFAULT_SIZE) - 1
    pre_tokenizer = _byte_level(models.BPE()).pre_tokenizer
    pre_tokens: Counter[str] = Counter()

    def count_pre_tokens() -> Iterator[str]:
        for text in _split_at_end(lines, end):
            pre_tokens.update(found for found, _ in pre_tokenizer.pre_tokenize_str(text))
            yield text

    seeds = _train_bpe(count_pre_tokens(), count * SEEDS_PER_SUBWORD).get_vocab()
    scores = fit_subwords(pre_tokens, sorted(seeds), count)
    entries = [(subword, scores.get(subword, 0.0)) for subword in _with_end(list(scores), end)]
    return _byte_level(models.Unigram(entries, None, False), end)


def _train_bpe(texts: Iterable[str], size: int) -> Tokenizer:
    tokenizer = _byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=MINIMUM_PAIRS,
        max_token_length=LONGEST_SUBWORD,
        initial_alphabet=BYTES,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _byte_level(model: models.Model, end: str | None = None) -> Tokenizer:
    """Return a tokenizer that splits text into pre-tokens of bytes. `end` decodes to a newline."""
    tokenizer = Tokenizer(model)
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(PRE_TOKEN, behavior="isolated"), to_bytes]
    )
    if end is not None:
        newline = decoders.Replace(end, "Ċ")
        tokenizer.decoder = decoders.Sequence([newline, decoders.ByteLevel()])
        tokenizer.add_tokens([AddedToken(end, normalized=False)])
    return tokenizer


def _split_at_end(lines: Iterable[str], end: str) -> Iterator[str]:
    """Yield the texts between literal `end` tokens. Raises CorpusError if all are empty."""
    is_empty = True
    for line in lines:
        for text in filter(None, line.split(end)):
            is_empty = False
            yield text
    if is_empty:
        raise CorpusError("the train split has no text")


def _with_end(subwords: list[str], end: str) -> list[str]:
    """Insert `end` as id 1, as in every kind of tokenizer. It is never id 0, because some clients
    take token 0 for a missing one.
    """
    return [subwords[0], end, *subwords[1:]]
