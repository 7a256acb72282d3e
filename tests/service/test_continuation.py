"""The text that drawn tokens make, token by token."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.continuation import JoinedWords
from service.language_model import LanguageModel

# Half of all tokens are marks, which join to words in their own ways.
tokens = st.lists(st.integers(2, 120) | st.integers(2, 13_999), min_size=1, max_size=50)
TEXTS = [
    "well -",
    "The old river",
    "the end .",
    "a (b",
    'He said , "',
    "It 's",
    "x",
    "",
    "A line\nThe",
    "👩",
]


@given(st.sampled_from(TEXTS), st.data())
def test_tokens_start_where_they_say(
    model: LanguageModel, prompt: str, data: st.DataObject
) -> None:
    """Of any words after any prompt: the offsets rise, and each word stands at its own."""
    tokenizer = model.tokenizer
    continuation = JoinedWords(tokenizer, tokenizer.encode(prompt).ids)
    added = data.draw(tokens)
    for token in added:
        continuation.add(token)
    assert continuation.starts == sorted(continuation.starts)
    for token, start in zip(added, continuation.starts, strict=True):
        assert continuation.text.startswith(tokenizer.entries[token], start)


@given(st.sampled_from(TEXTS), st.data())
def test_settled_text_stays(model: LanguageModel, prompt: str, data: st.DataObject) -> None:
    """What a stream has sent stays true, whatever comes."""
    tokenizer = model.tokenizer
    continuation = JoinedWords(tokenizer, tokenizer.encode(prompt).ids)
    for token in data.draw(tokens):
        before = continuation.text[: continuation.settled]
        continuation.add(token)
        assert continuation.text.startswith(before)


@given(st.data())
def test_a_continuation_reads_as_its_tokens_do(model: LanguageModel, data: st.DataObject) -> None:
    """After nothing it is what the tokenizer decodes, however long it is."""
    tokenizer, added = model.tokenizer, data.draw(tokens)
    continuation = JoinedWords(tokenizer, np.empty(0, np.int64))
    for token in added:
        continuation.add(token)
    assert continuation.text == tokenizer.decode(np.array(added, np.int64))
