"""Tokenizers, fitted on the train split alone and saved as one `tokenizer.json`.

That file holds all rules to split and to join text, so that its readers need not distinguish kinds
of tokenizers. Tokenizers do not handle line ends: each line is encoded by itself, and the caller
appends `<eos>`.
"""

from collections.abc import Callable, Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from train.config import TokenizerConfig
from train.data.subword import fit_bpe, fit_unigram
from train.errors import CorpusError

UNKNOWN = "<unk>"
END_OF_SENTENCE = "<eos>"

# A word is letters with their combining marks. These are tokens of their own: an ending after an
# apostrophe ('s, 't, 'll), a sequence of digits, every other character that is not white space.
WORD = Regex(
    r"<unk>|<eos>"
    r"|\p{L}[\p{L}\p{M}]*"
    r"|\p{N}+"
    r"|(?<=[\p{L}\p{M}\p{N}]|<unk>)['’]\p{L}{1,2}(?![\p{L}\p{M}])"
    r"|[^\s]"
)
# Decoding drops the space between two tokens at these places. None of these joins makes one token
# of two, so that decoded text is split into the same tokens again.
NO_SPACE = (
    r" (?=[.,;:!?%)\]}…”»])",
    r"(?<=[(\[{“«$£€]) ",
    r"(?<=[\p{L}\p{M}\p{N}]|<unk>) (?=['’]\p{L}{1,2}(?![\p{L}\p{M}]))",
    r"(?<=\p{N}[.,]) (?=\p{N})",
    r"(?<=[\p{L}\p{M}\p{N}]) (?=[-/][ ][\p{L}\p{N}])",
    r"(?<=[\p{L}\p{M}\p{N}][-/]) (?=[\p{L}\p{N}])",
)
NO_PREFIX = "\x00"  # no token begins with it


def _whitespace() -> Tokenizer:
    """Return a tokenizer that splits at white space, for corpora such as PTB that are tokenized."""
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    alone = rf"(?<!\S){END_OF_SENTENCE}(?!\S)"  # a longer word may contain it
    tokenizer.decoder = decoders.Sequence([*_spaced(), *_line_ends(alone)])
    return tokenizer


def _words() -> Tokenizer:
    """Return a tokenizer of raw text: words, numbers and punctuation are separate, case is kept."""
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(WORD, behavior="removed", invert=True)
    joins = [decoders.Replace(Regex(pattern), "") for pattern in NO_SPACE]
    tokenizer.decoder = decoders.Sequence([*_spaced(), *joins, *_line_ends()])
    return tokenizer


def _characters() -> Tokenizer:
    """Return a tokenizer whose tokens are Unicode code points, including spaces."""
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=UNKNOWN))
    character = Regex(rf"{UNKNOWN}|{END_OF_SENTENCE}|[\s\S]")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(character, behavior="isolated")
    newline = decoders.Replace(END_OF_SENTENCE, "\n")
    tokenizer.decoder = decoders.Sequence([newline, decoders.Fuse()])
    return tokenizer


def _spaced() -> list[decoders.Decoder]:
    """Return decoders that join tokens with spaces."""
    return [decoders.WordPiece(prefix=NO_PREFIX, cleanup=False), decoders.Fuse()]


def _line_ends(end: str = END_OF_SENTENCE) -> list[decoders.Decoder]:
    """Return decoders that replace `<eos>` and the spaces around it by a newline."""
    return [decoders.Replace(Regex(f" ?{end} ?"), "\n")]


COUNTED_KINDS: dict[str, Callable[[], Tokenizer]] = {
    "whitespace": _whitespace,
    "words": _words,
    "char": _characters,
}
SUBWORD_KINDS = {"bpe": fit_bpe, "unigram": fit_unigram}
# The kinds in which a word is several tokens.
SUBWORD = frozenset({"char", *SUBWORD_KINDS})


def end_id(tokenizer: Tokenizer) -> int:
    """Return the id of `<eos>`. Raises CorpusError if the tokenizer has none."""
    found = tokenizer.token_to_id(END_OF_SENTENCE)
    if found is None:
        raise CorpusError(f"the tokenizer has no {END_OF_SENTENCE}")
    return int(found)


def fit_tokenizer(config: TokenizerConfig, lines: Iterable[str]) -> Tokenizer:
    """Fit a tokenizer on `lines`, which are read once. `<eos>` is id 1. `<unk>` is id 0 in the
    kinds that have it.

    The same text gives the same file. Raises CorpusError if the vocabulary would be empty.
    """
    if config.kind in SUBWORD_KINDS:
        return SUBWORD_KINDS[config.kind](lines, config.vocabulary_size, END_OF_SENTENCE)
    return _fit_counted(config, lines)


def _fit_counted(config: TokenizerConfig, lines: Iterable[str]) -> Tokenizer:
    """Keep the most frequent words or characters. Equal counts are ordered by spelling."""
    tokenizer = COUNTED_KINDS[config.kind]()
    trainer = trainers.WordLevelTrainer(
        vocab_size=config.vocabulary_size or 2**31 - 1,  # entries beyond this are dropped below
        min_frequency=config.minimum_count,
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    # The trainer orders by falling count, then by spelling. A text may contain the special
    # tokens literally (PTB and WikiText write `<unk>`): they keep their single id.
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
