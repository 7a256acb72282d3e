"""Tokenizers: text to ids and back, with the tokenizer of the starter bundle and tiny ones."""

import pytest
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers

from service.bundle import Manifest
from service.errors import BundleError, InputTooLong
from service.language_model import LanguageModel
from service.text import line_encoder
from service.text.tokenizer import Encoding, Tokenizer

# Characters that often cause errors: joined emoji, combining marks, text from right to left, zero
# width, controls that Python calls white space, and the line ends of three systems.
ODD = "👩‍👩‍👧 é ที่ שלום עולם \u200b\ufeff\u0000\x1c\x1f\u2028\u2029\x85 \r\n\r '’s <unk> <eos>"
texts = st.text(max_size=60) | st.text(st.sampled_from("ab'-. \n\t\x1c" + ODD), max_size=60)
lines = st.text(st.sampled_from("ab' \x1c\u2028"), min_size=6, max_size=30)
VOCABULARY = ["<unk>", "<eos>", "a", "b", "ab", "ba", "the", "<"]


def tiny_manifest(**changes: object) -> Manifest:
    content: dict[str, object] = {
        "format_version": 2,
        "name": "tiny",
        "precision": "float32",
        "vocabulary_size": len(VOCABULARY),
        "embedding_size": 4,
        "state_size": 16,
        "parameters": 1,
        "prefix_token_id": 1,
        "unknown_token_id": 0,
        "files": {},
        "parity": {},
        "fidelity": None,
        "training": {},
    }
    return Manifest.model_validate(content | changes)


def tiny_library_tokenizer() -> tokenizers.Tokenizer:
    vocabulary = {word: index for index, word in enumerate(VOCABULARY)}
    made = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


@pytest.fixture(scope="module")
def tiny() -> Tokenizer:
    return Tokenizer(tiny_library_tokenizer().to_str().encode(), tiny_manifest())


@pytest.fixture(scope="module")
def starter(model: LanguageModel) -> Tokenizer:
    return model.tokenizer


@pytest.fixture(scope="module", params=["tiny", "starter"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    found: Tokenizer = request.getfixturevalue(request.param)
    return found


def plain(encoding: Encoding) -> list[tuple[int, int, int]]:
    return list(zip(encoding.ids.tolist(), encoding.starts, encoding.ends, strict=True))


@given(text=texts)
def test_spans_cut_the_text_into_its_tokens(tokenizer: Tokenizer, text: str) -> None:
    at = 0
    for token, start, end in plain(tokenizer.encode(text)):
        assert text[at:start] == "" or text[at:start].isspace()
        assert start < end
        if token == tokenizer.end_id:
            assert text[start:end] in ("\n", "\r\n", "<eos>")
        elif token != tokenizer.unknown_id:
            assert text[start:end] == tokenizer.entries[token]
        at = end
    assert text[at:] == "" or text[at:].isspace()


@given(text=texts)
def test_newline_is_the_end_token(tokenizer: Tokenizer, text: str) -> None:
    expected: list[int] = []
    for index, line in enumerate(text.replace("\r\n", "\n").split("\n")):
        expected += [tokenizer.end_id] if index else []
        expected += tokenizer.encode(line).ids.tolist()
    assert tokenizer.encode(text).ids.tolist() == expected


@given(text=texts | lines)
def test_chunks_of_a_line_give_the_same_tokens(tokenizer: Tokenizer, text: str) -> None:
    whole = plain(tokenizer.encode(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_encoder, "CHUNK_CHARACTERS", 5)
        assert plain(tokenizer.encode(text)) == whole


unbroken = st.text(
    st.sampled_from("ab'’-,1.<\u0301\t\u3000é"), min_size=100, max_size=400
) | st.lists(
    st.sampled_from(
        ["the", "'s", "’ll", "<unk>", "<eos>", "<un", ",", "1905", "x" * 50, "\t\t", "  "]
    ),
    min_size=10,
    max_size=80,
).map("".join)


@given(text=unbroken)
@example(text="x" * 300)
@example(text="\t" * 300)
@example(text="a" + "'s" * 150)
@example(text="<unk>'s" * 60)
def test_chunks_without_single_spaces_give_the_same_tokens(tokenizer: Tokenizer, text: str) -> None:
    whole = plain(tokenizer.encode(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_encoder, "MARGIN_CHARACTERS", 24)
        for length in (30, 47, 64):
            patch.setattr(line_encoder, "CHUNK_CHARACTERS", length)
            assert plain(tokenizer.encode(text)) == whole


@pytest.mark.parametrize("text", ["a," * 50_000, "the\u3000" * 25_000, "\t" * 100_000])
def test_lines_without_single_spaces_are_encoded_in_chunks(
    starter: Tokenizer, chunk_lengths: list[int], text: str
) -> None:
    starter.encode(text)
    assert max(chunk_lengths) <= line_encoder.CHUNK_CHARACTERS + 2 * line_encoder.MARGIN_CHARACTERS
    assert sum(chunk_lengths) < 1.1 * len(text)


def test_long_word_is_not_encoded_again(starter: Tokenizer, chunk_lengths: list[int]) -> None:
    starter.encode(("x" * 20_000 + " ") * 5)
    assert sum(chunk_lengths) < 5 * (4096 + 16_384 + 65_536)


@pytest.mark.parametrize("text", ["a," * 4_000_000, "a " * 4_000_000, "\n" * 100_000])
def test_nothing_is_encoded_beyond_the_limit(
    starter: Tokenizer, chunk_lengths: list[int], text: str
) -> None:
    with pytest.raises(InputTooLong, match="at most 5000"):
        starter.encode(text, 5000)
    assert sum(chunk_lengths) < 5 * line_encoder.CHUNK_CHARACTERS


def test_word_is_limited_like_the_request(starter: Tokenizer, chunk_lengths: list[int]) -> None:
    for text in ("x" * 20_000, "the " * 2000 + "x" * 19_000):
        assert starter.encode(text, 20_000).ids.tolist()[-1] == starter.unknown_id
    assert max(chunk_lengths) <= 20_000
    with pytest.raises(InputTooLong, match="at most 20000 characters"):
        starter.encode("x" * 30_000, 20_000)
    assert max(chunk_lengths) <= 20_000
    assert starter.encode("x" * 30_000).ids.tolist() == [starter.unknown_id]


@given(text=texts)
@example(text="Zxqvyk's bridge")
@example(text="('tis) 3.5-4% of “x/y” — no. 1's, don’t!")
def test_encoding_decoded_ids_returns_them(starter: Tokenizer, text: str) -> None:
    once = starter.encode(text).ids
    again = starter.encode(starter.decode(once)).ids
    assert again.tolist() == once.tolist()


def test_special_strings_are_one_id_each(starter: Tokenizer) -> None:
    ids = starter.encode("the <unk> of<eos>the").ids.tolist()
    the, of = starter.entries.index("the"), starter.entries.index("of")
    assert ids == [the, starter.unknown_id, of, starter.end_id, the]
    assert starter.special_ids.tolist() == [starter.unknown_id, starter.end_id]


@pytest.mark.parametrize("prefix", ["th", "The", "", "<", "é", "qqqq"])
def test_prefix_finds_all_its_entries(starter: Tokenizer, prefix: str) -> None:
    expected = [i for i, entry in enumerate(starter.entries) if entry.startswith(prefix)]
    assert sorted(starter.vocabulary.with_prefix(prefix).tolist()) == expected


def test_entries_are_in_the_order_of_their_ids(tiny: Tokenizer) -> None:
    assert tiny.entries == VOCABULARY


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"null"])
def test_invalid_tokenizer_is_a_bundle_error(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"tokenizer\.json"):
        Tokenizer(content, tiny_manifest())


def test_tokenizer_of_another_size_is_rejected() -> None:
    with pytest.raises(BundleError, match=r"8 entries, but manifest\.json has vocabulary_size 9"):
        Tokenizer(tiny_library_tokenizer().to_str().encode(), tiny_manifest(vocabulary_size=9))


def test_ids_with_gaps_are_a_bundle_error() -> None:
    gaps = tokenizers.Tokenizer(models.WordLevel({"<unk>": 0, "<eos>": 1, "a": 3}, "<unk>"))
    with pytest.raises(BundleError, match="ids are not"):
        Tokenizer(gaps.to_str().encode(), tiny_manifest(vocabulary_size=3))


@pytest.mark.parametrize("field", ["prefix_token_id", "unknown_token_id"])
def test_special_id_outside_vocabulary_is_rejected(field: str) -> None:
    with pytest.raises(BundleError, match=field):
        Tokenizer(tiny_library_tokenizer().to_str().encode(), tiny_manifest(**{field: 8}))
