import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from train.config import TokenizerConfig
from train.data.tokenizer import end_id, fit_tokenizer
from train.errors import CorpusError

WHITESPACE = TokenizerConfig(kind="whitespace")
WORDS = TokenizerConfig(kind="words")

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\n\x00")
PIECES = CHARACTERS | st.sampled_from(
    [*"ab1.,'’-/$£()[]“”\"<> é\u0301", "'s", "’ll", "1,0", "a-b", " - ", "<unk>", "<eos>"]
)
TEXTS = st.lists(PIECES, min_size=1, max_size=16).map("".join)


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Encode a text as the service does: line by line, with `<eos>` for a newline."""
    ids: list[int] = []
    for index, line in enumerate(text.split("\n")):
        ids += [end_id(tokenizer)] * (index > 0)
        ids += tokenizer.encode(line, add_special_tokens=False).ids
    return ids


def round_trip(tokenizer: Tokenizer, text: str) -> str:
    decoded: str = tokenizer.decode(encode(tokenizer, text), skip_special_tokens=False)
    return decoded


def tokens(config: TokenizerConfig, text: str) -> list[str]:
    found: list[str] = fit_tokenizer(config, [text]).encode(text).tokens
    return found


@pytest.mark.parametrize("config", [WHITESPACE, WORDS])
@pytest.mark.parametrize("text", ["a b", "a <unk> b <eos>", "<eos> <eos> <eos> <unk> a"])
def test_literal_special_tokens_keep_their_ids(config: TokenizerConfig, text: str) -> None:
    tokenizer = fit_tokenizer(config, [text])
    assert tokenizer.token_to_id("<unk>") == 0
    assert end_id(tokenizer) == 1
    assert tokenizer.encode("<eos> never <unk> a").ids == [1, 0, 0, 2]
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer.get_vocab())))


@pytest.mark.parametrize("config", [WHITESPACE, WORDS])
def test_words_order_by_count_then_spelling(config: TokenizerConfig) -> None:
    vocabulary = fit_tokenizer(config, ["b c a", "d d a", "e a"]).get_vocab()
    assert sorted(vocabulary, key=vocabulary.__getitem__) == [
        *("<unk>", "<eos>", "a", "d", "b", "c", "e")
    ]


def test_vocabulary_size_counts_both_special_tokens() -> None:
    config = TokenizerConfig(kind="whitespace", vocabulary_size=4)
    assert fit_tokenizer(config, ["a a a b b c"]).get_vocab() == {
        **{"<unk>": 0, "<eos>": 1, "a": 2, "b": 3}
    }


def test_words_below_minimum_count_are_unknown() -> None:
    config = TokenizerConfig(kind="whitespace", minimum_count=2)
    assert fit_tokenizer(config, ["a b a", "c b"]).encode("a b c").ids == [2, 3, 0]


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        (WHITESPACE, []),
        (WORDS, ["", "  "]),
        (WORDS, ["<unk> <eos>"]),
        (TokenizerConfig(minimum_count=3), ["a a b"]),
    ],
)
def test_text_without_frequent_words_is_refused(config: TokenizerConfig, lines: list[str]) -> None:
    with pytest.raises(CorpusError, match=f"no word that occurs {config.minimum_count} times"):
        fit_tokenizer(config, lines)


def test_an_error_in_the_lines_is_not_swallowed() -> None:
    def lines() -> object:
        yield "a b"
        raise CorpusError("line 2 is not text")

    with pytest.raises(CorpusError, match="line 2 is not text"):
        fit_tokenizer(WORDS, lines())  # type: ignore[arg-type]  # a generator is an Iterable[str]


@settings(max_examples=40, deadline=None)
@given(lines=st.lists(TEXTS, max_size=5), kind=st.sampled_from([WHITESPACE, WORDS]))
def test_the_same_text_gives_the_same_file(lines: list[str], kind: TokenizerConfig) -> None:
    first, second = (fit_tokenizer(kind, ["base", *lines]).to_str() for _ in range(2))
    assert first == second
    assert fit_tokenizer(kind, ["base", *reversed(lines)]).to_str() == first


def test_whitespace_tokens_stand_between_white_space() -> None:
    text = " mr. n.y.-based \t <unk>'s  N\u3000é "
    assert tokens(WHITESPACE, text) == text.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the club's", ["the", "club", "'s"]),
        ("they’ll won't I'd", ["they", "’ll", "won", "'t", "I", "'d"]),
        ("rock'n'roll", ["rock", "'n", "'", "roll"]),
        ("the teams' 'quoted'", ["the", "teams", "'", "'", "quoted", "'"]),
        ("1,000.5", ["1", ",", "000", ".", "5"]),
        ("well-known/old", ["well", "-", "known", "/", "old"]),
        ("(dog)!?", ["(", "dog", ")", "!", "?"]),
        ("cafe\u0301 naïve", ["cafe\u0301", "naïve"]),
        ("B2B", ["B", "2", "B"]),
        ("a <unk> b<eos>", ["a", "<unk>", "b", "<eos>"]),
        ("日本語 x", ["日本語", "x"]),
    ],
)
def test_words_and_punctuation_are_cut_apart(text: str, expected: list[str]) -> None:
    assert tokens(WORDS, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "the club's well-known (dog) cost $5, or 1,000.5 in all; 50% of it.",
        "They’ll say “yes” [sic] and/or no!",
        "the old-fashioned don't",
    ],
)
def test_decoded_text_reads_as_it_was_written(text: str) -> None:
    assert round_trip(fit_tokenizer(WORDS, [text]), text) == text


def test_decoding_leaves_straight_quotes_apart_and_ends_lines() -> None:
    tokenizer = fit_tokenizer(WORDS, ['the club\'s "first" (day).'])
    assert round_trip(tokenizer, 'the "first" day.\nthe\n') == 'the " first " day.\nthe\n'
    assert round_trip(tokenizer, "the (\n) day\n\n. the") == "the (\n) day\n\n. the"


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
@example(text='the club\'s "first" 1,000.5 well-known (dog)')
@example(text="a - b's - 1 / 2 , 3 ' s")
def test_decoded_words_encode_to_the_same_ids(text: str) -> None:
    tokenizer = fit_tokenizer(WORDS, ["base", text])
    assert encode(tokenizer, round_trip(tokenizer, text)) == encode(tokenizer, text)


@settings(max_examples=200, deadline=None)
@given(text=st.lists(CHARACTERS | st.just(" "), max_size=16).map("".join))
def test_decoded_whitespace_tokens_encode_alike(text: str) -> None:
    tokenizer = fit_tokenizer(WHITESPACE, ["base", text])
    assert encode(tokenizer, round_trip(tokenizer, text)) == encode(tokenizer, text)


@pytest.mark.parametrize("text", ["Zork's dog", "the Zork’ll see", "<unk>'s dog"])
def test_an_unknown_word_keeps_its_ending_when_decoded(text: str) -> None:
    tokenizer = fit_tokenizer(WORDS, ["the dog's dog they’ll see"])
    ids = encode(tokenizer, text)
    assert len(ids) == len(text.split()) + 1
    assert encode(tokenizer, round_trip(tokenizer, text)) == ids


def test_whitespace_token_containing_eos_stays_whole() -> None:
    tokenizer = fit_tokenizer(WHITESPACE, ["x<eos> a <eos>y"])
    assert round_trip(tokenizer, "x<eos> a <eos>y") == "x<eos> a <eos>y"


@settings(max_examples=200, deadline=None)
@given(text=TEXTS, config=st.sampled_from([WHITESPACE, WORDS]))
def test_tokens_are_spans_separated_by_white_space(text: str, config: TokenizerConfig) -> None:
    encoding = fit_tokenizer(config, ["base", text]).encode(text)
    assert [text[start:end] for start, end in encoding.offsets] == encoding.tokens
    edges = [0, *(edge for span in encoding.offsets for edge in span), len(text)]
    assert edges == sorted(edges)
    between = "".join(text[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2))
    assert not between.strip()


def test_the_file_alone_makes_the_same_tokenizer() -> None:
    text = "the club's <unk> “old” 1,000-year <eos> plan"
    tokenizer = fit_tokenizer(WORDS, [text])
    again = Tokenizer.from_str(json.dumps(json.loads(tokenizer.to_str())))
    assert again.encode(text).ids == tokenizer.encode(text).ids
    assert round_trip(again, text) == round_trip(tokenizer, text)


def test_a_tokenizer_without_an_end_token_is_refused() -> None:
    tokenizer = fit_tokenizer(WORDS, ["a"])
    tokenizer.model = type(tokenizer.model)({"<unk>": 0, "a": 1}, unk_token="<unk>")
    with pytest.raises(CorpusError, match="<eos>"):
        end_id(tokenizer)
