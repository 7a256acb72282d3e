"""Pieces of words over bytes: BPE and Unigram, for any language and without an unknown token.

A line is cut into short runs first, and no piece is longer than one of them: letters with the
space before them, at most three digits, other marks, white space. Runs are bounded, so that a
text without spaces costs no more, and are found from left to right without looking back, so that
a long line can be encoded in parts. Their UTF-8 bytes are written as the 256 printable characters
of GPT-2's table, where `Ġ` is a space. All 256 are in every vocabulary.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from train.data.unigram import fit_pieces
from train.errors import CorpusError

RUN = Regex(
    r"['’]\p{L}{1,2}(?![\p{L}\p{M}])"
    r"| ?\p{L}[\p{L}\p{M}]{0,31}"
    r"| ?\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]{1,16}"
    r"|\s{1,16}(?!\S)|\s{1,16}"
)
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
DEFAULT_SIZE = 8000
# A pair that is seen once says nothing of the language.
MINIMUM_PAIRS = 2
# Eight Chinese characters: longer ones are quotations, in text without spaces.
LONGEST_PIECE = 24  # bytes
SEEDS_PER_PIECE = 4


def fit_bpe(lines: Iterable[str], size: int | None, end: str) -> Tokenizer:
    """Byte-pair encoding (Sennrich et al. 2016): at most `size` entries, `end` among them.

    Raises CorpusError for a text of nothing.
    """
    learned = _learn(_parts(lines, end), (size or DEFAULT_SIZE) - 1)
    model = json.loads(learned.to_str())["model"]
    ranked = sorted(model["vocab"], key=model["vocab"].__getitem__)
    vocabulary = {piece: index for index, piece in enumerate(_with_end(ranked, end))}
    merges = [(left, right) for left, right in model["merges"]]
    return _over_bytes(models.BPE(vocabulary, merges), end)


def fit_unigram(lines: Iterable[str], size: int | None, end: str) -> Tokenizer:
    """A unigram language model of pieces (Kudo 2018), from the pieces of a larger BPE.

    At most `size` entries, `end` among them. Raises CorpusError for a text of nothing.
    """
    wanted = (size or DEFAULT_SIZE) - 1
    cut = _over_bytes(models.BPE()).pre_tokenizer
    runs: Counter[str] = Counter()

    def counted() -> Iterator[str]:
        for part in _parts(lines, end):
            runs.update(run for run, _ in cut.pre_tokenize_str(part))
            yield part

    seeds = _learn(counted(), wanted * SEEDS_PER_PIECE).get_vocab()
    scores = fit_pieces(runs, sorted(seeds), wanted)
    entries = [(piece, scores.get(piece, 0.0)) for piece in _with_end(list(scores), end)]
    return _over_bytes(models.Unigram(entries, None, False), end)


def _learn(parts: Iterable[str], size: int) -> Tokenizer:
    tokenizer = _over_bytes(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=MINIMUM_PAIRS,
        max_token_length=LONGEST_PIECE,
        initial_alphabet=BYTES,
        show_progress=False,
    )
    tokenizer.train_from_iterator(parts, trainer)
    return tokenizer


def _over_bytes(model: models.Model, end: str | None = None) -> Tokenizer:
    tokenizer = Tokenizer(model)
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(RUN, behavior="isolated"), to_bytes]
    )
    if end is not None:
        newline = decoders.Replace(end, "Ċ")
        tokenizer.decoder = decoders.Sequence([newline, decoders.ByteLevel()])
        tokenizer.add_tokens([AddedToken(end, normalized=False)])
    return tokenizer


def _parts(lines: Iterable[str], end: str) -> Iterator[str]:
    """What stands between literal `end`s. Raises CorpusError when there was nothing."""
    nothing = True
    for line in lines:
        for part in filter(None, line.split(end)):
            nothing = False
            yield part
    if nothing:
        raise CorpusError("the train split holds no text")


def _with_end(pieces: list[str], end: str) -> list[str]:
    """Id 1 is `end` in every kind; id 0 never is, for clients take a token 0 for none."""
    return [pieces[0], end, *pieces[1:]]
