"""JSON in parts: values and errors equal those of Python's parser for any text."""

import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import InputTooLong
from service.http.body import json_structure, request_json
from service.http.body.json_structure import find_structure
from service.http.body.request_json import is_quick, parse

MANY = 10**9
SNIPPETS = ['"', "\\", "[", "]", "{", "}", ",", ":", "0", "null", " ", "é", '"a"', '"a":', "\n"]

texts = st.text(st.sampled_from('ab"\\[]{},: é\n'), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(texts, inner, max_size=6),
    max_leaves=60,
)


@pytest.fixture
def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse short texts in parts, as large ones are."""
    monkeypatch.setattr(request_json, "PART_BYTES", 7)
    monkeypatch.setattr(request_json, "FEW_VALUES", 0)
    monkeypatch.setattr(json_structure, "BLOCK_BYTES", 5)


def outcome(text: bytes, loads: Any) -> Any:
    """Return the value, or the position of the error."""
    try:
        return loads(text)
    except json.JSONDecodeError as error:
        return "error", error.pos


def in_parts(text: bytes) -> Any:
    return parse(text, MANY)


@pytest.mark.usefixtures("in_small_parts")
def test_parts_make_the_value_of_the_whole() -> None:
    @settings(max_examples=300)
    @given(value=values, ascii_only=st.booleans(), indent=st.none() | st.integers(0, 2))
    def check(value: object, ascii_only: bool, indent: int | None) -> None:
        text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
        assert parse(text, MANY) == value

    check()


@pytest.mark.usefixtures("in_small_parts")
def test_damaged_text_fails_as_the_whole_does() -> None:
    @settings(max_examples=500)
    @given(
        value=values, at=st.integers(0, 60), snippet=st.sampled_from(SNIPPETS), cut=st.booleans()
    )
    def check(value: object, at: int, snippet: str, cut: bool) -> None:
        text = json.dumps(value, ensure_ascii=False)
        text = text[:at] + snippet + text[at + cut :]
        found, expected = (outcome(text.encode(), loads) for loads in (in_parts, json.loads))
        failed = isinstance(expected, tuple)
        assert isinstance(found, tuple) == failed, text
        if not failed:
            assert found == expected

    check()


@pytest.mark.usefixtures("in_small_parts")
@pytest.mark.parametrize(
    "text",
    [
        "[1,2,3,,4,5,6]",
        "[1,2,3,4,5,6,]",
        "[,1,2,3,4,5,6]",
        '{"a": 1,, "b": 2}',
        '{"a": 1, "b": 2,}',
        '{"aaaaaaaa" 1, "b": [1,2,3,4]}',
        '{"a": [1,2,3,4], 5: [1,2,3,4]}',
        "[1,2,3,4,5,6}",
        "[[1,2,3,4,5],[1,2,3,4)]",
        "[1,2,3] [4,5,6,7]",
        "[1,2,3,4,5,6",
        "]1,2,3,4,5,6[",
        '["a\\", "b", "c", "d]',
        '[\\"a,b"]',
        "[1 2, 3, 4, 5, 6]",
    ],
)
def test_invalid_json_is_rejected_as_by_python(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    with pytest.raises(json.JSONDecodeError):
        parse(text.encode(), MANY)


@pytest.mark.usefixtures("in_small_parts")
def test_the_last_of_equal_keys_wins() -> None:
    text = b'{"a": [1, 2, 3, 4], "b": 1, "a": [5, 6, 7, 8], "b": 2, "c": NaN, "d": 1e999}'
    found = parse(text, MANY)
    assert (found["a"], found["b"], found["d"]) == ([5, 6, 7, 8], 2, float("inf"))
    assert found["c"] != found["c"]


def test_error_positions_are_in_characters() -> None:
    text = ('{"é": [' + "0," * 100_000 + "x]}").encode()
    assert not is_quick(text)
    with pytest.raises(json.JSONDecodeError) as found:
        parse(text, MANY)
    assert found.value.pos == len(text.decode()) - 3


def test_structure_ignores_strings() -> None:
    found = find_structure(b'{"a,[\\"": [1, "\\\\", {}], "b": "]"}')
    assert found.positions.tolist() == [0, 10, 12, 18, 20, 21, 22, 23, 33]
    assert found.depths.tolist() == [1, 2, 2, 2, 3, 3, 2, 1, 1]


@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 8])
def test_blocks_never_change_the_structure(monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
    draw = random.Random(blocks)
    for _ in range(200):
        text = "".join(draw.choices('"\\[]{},a', k=40)).encode()
        whole = find_structure(text)
        with monkeypatch.context() as patched:
            patched.setattr(json_structure, "BLOCK_BYTES", blocks)
            parts = find_structure(text)
        assert np.array_equal(parts.positions, whole.positions), text
        assert np.array_equal(parts.depths, whole.depths), text


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"text": "a", "token_ids": [[0] * 30_000], "top": 1}, "token_ids"),
        ({"top": 1, "hypotheses": [{"text": ""}] * 30_000}, "hypotheses"),
        ([0] * 30_000, None),
        ({"": {str(key): 0 for key in range(30_000)}}, ""),
    ],
)
def test_too_many_values_name_their_field(value: object, field: str | None) -> None:
    text = json.dumps(value, indent=1).encode()
    with pytest.raises(InputTooLong, match="at most 25000") as found:
        parse(text, 25_000)
    assert found.value.param == field
    assert parse(text, 70_000) == value


def test_commas_in_strings_are_not_values() -> None:
    text = json.dumps({"text": "a,[{" * 100_000}).encode()
    assert parse(text, 10) == {"text": "a,[{" * 100_000}


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'["x",', b'{"a":[0,'])
def test_deep_nesting_is_rejected(opening: bytes) -> None:
    with pytest.raises(RecursionError):
        parse(opening * 100_000, MANY)


def test_long_numbers_are_parsed_off_the_loop() -> None:
    """The time of Python's parser grows with the square of the digits."""
    long = b"[" + b",".join([b"1" * 4200] * 50) + b"]"
    assert not is_quick(long)
    assert is_quick(b"[" + b",".join([b"1" * 100] * 1000) + b"]")


@pytest.mark.usefixtures("in_small_parts")
@pytest.mark.parametrize(
    "text",
    [
        '["a",\ufeff[1,2,3,4,5,6]]',
        '{"a":\ufeff[1,2,3,4,5,6]}',
        '{"a":\ufeff"long enough"}',
        '{"a": 1, "b\\x": [1,2,3,4,5,6]}',
    ],
)
def test_errors_in_long_values_keep_their_position(text: str) -> None:
    found, expected = (outcome(text.encode(), loads) for loads in (in_parts, json.loads))
    assert expected[0] == "error"
    assert found == expected
