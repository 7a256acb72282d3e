"""Tokenizers, fitted on the train split alone and saved as one `tokenizer.json`.

Whatever a kind needs to split and to join text stands in that file, so that nothing which reads
it has to know the kinds. Line ends are not the tokenizer's business: a line is encoded by itself
and followed by `<eos>`.
"""

from collections.abc import Callable, Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from train.config import TokenizerConfig
from train.data.subword import fit_bpe, fit_unigram
from train.errors import CorpusError

UNKNOWN = "<unk>"
END_OF_SENTENCE = "<eos>"

# A word is letters with their combining marks; an ending after an apostrophe ('s, 't, 'll) is a
# token of its own, as are a run of digits and every other character that is not white space.
WORD = Regex(
    r"<unk>|<eos>"
    r"|\p{L}[\p{L}\p{M}]*"
    r"|\p{N}+"
    r"|(?<=[\p{L}\p{M}\p{N}]|<unk>)['’]\p{L}{1,2}(?![\p{L}\p{M}])"
    r"|[^\s]"
)
# Where decoding drops the space between two tokens. None of these joins makes one token of two,
# so that decoded text is cut into the same tokens again.
NO_SPACE = (
    r" (?=[.,;:!?%)\]}…”»])",
    r"(?<=[(\[{“«$£€]) ",
    r"(?<=[\p{L}\p{M}\p{N}]|<unk>) (?=['’]\p{L}{1,2}(?![\p{L}\p{M}]))",
    r"(?<=\p{N}[.,]) (?=\p{N})",
    r"(?<=[\p{L}\p{M}\p{N}]) (?=[-/][ ][\p{L}\p{N}])",
    r"(?<=[\p{L}\p{M}\p{N}][-/]) (?=[\p{L}\p{N}])",
)
NEVER = "\x00"


def _whitespace() -> Tokenizer:
    """Words are what stands between white space: for corpora that are split already, as PTB."""
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    alone = rf"(?<!\S){END_OF_SENTENCE}(?!\S)"  # a longer word may hold it
    tokenizer.decoder = decoders.Sequence([*_spaced(), *_line_ends(alone)])
    return tokenizer


def _words() -> Tokenizer:
    """Raw text: words, numbers and punctuation apart, case kept, joined readably again."""
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(WORD, behavior="removed", invert=True)
    joins = [decoders.Replace(Regex(pattern), "") for pattern in NO_SPACE]
    tokenizer.decoder = decoders.Sequence([*_spaced(), *joins, *_line_ends()])
    return tokenizer


def _characters() -> Tokenizer:
    """Unicode code points, spaces too: decoding gives the text back."""
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=UNKNOWN))
    character = Regex(rf"{UNKNOWN}|{END_OF_SENTENCE}|[\s\S]")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(character, behavior="isolated")
    newline = decoders.Replace(END_OF_SENTENCE, "\n")
    tokenizer.decoder = decoders.Sequence([newline, decoders.Fuse()])
    return tokenizer


def _spaced() -> list[decoders.Decoder]:
    """One string with a space between tokens: no token begins with this continuation mark."""
    return [decoders.WordPiece(prefix=NEVER, cleanup=False), decoders.Fuse()]


def _line_ends(end: str = END_OF_SENTENCE) -> list[decoders.Decoder]:
    return [decoders.Replace(Regex(f" ?{end} ?"), "\n")]


COUNTED: dict[str, Callable[[], Tokenizer]] = {
    "whitespace": _whitespace,
    "words": _words,
    "char": _characters,
}
PIECES = {"bpe": fit_bpe, "unigram": fit_unigram}
# A word is several tokens of these.
SUBWORD = frozenset({"char", *PIECES})


def end_id(tokenizer: Tokenizer) -> int:
    """The id of `<eos>`. Raises CorpusError for a tokenizer that has none."""
    found = tokenizer.token_to_id(END_OF_SENTENCE)
    if found is None:
        raise CorpusError(f"the tokenizer has no {END_OF_SENTENCE}")
    return int(found)


def fit_tokenizer(config: TokenizerConfig, lines: Iterable[str]) -> Tokenizer:
    """Read `lines` once. `<eos>` is id 1; `<unk>` is id 0 of the kinds that know it.

    The same text gives the same file. Raises CorpusError when there is nothing to keep.
    """
    if config.kind in PIECES:
        return PIECES[config.kind](lines, config.vocabulary_size, END_OF_SENTENCE)
    return _fit_counted(config, lines)


def _fit_counted(config: TokenizerConfig, lines: Iterable[str]) -> Tokenizer:
    """Count the words or characters and keep the most frequent, equal counts by spelling."""
    tokenizer = COUNTED[config.kind]()
    trainer = trainers.WordLevelTrainer(
        vocab_size=config.vocabulary_size or 2**31 - 1,  # the rest would be dropped below
        min_frequency=config.minimum_count,
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    # The trainer orders by falling count, then by spelling. Texts may hold the special strings
    # themselves (PTB and WikiText write `<unk>`): they keep their one id.
    ranked = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    words = [word for word, _ in ranked if word not in (UNKNOWN, END_OF_SENTENCE)]
    if not words:
        raise CorpusError(
            f"the train split has no {'character' if config.kind == 'char' else 'word'} "
            f"that occurs {config.minimum_count} times or more"
        )
    entries = [UNKNOWN, END_OF_SENTENCE, *words][: config.vocabulary_size]
    vocabulary = {word: index for index, word in enumerate(entries)}
    tokenizer.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    return tokenizer
