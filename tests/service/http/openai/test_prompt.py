"""Tokenizing the prompts of `/v1/completions` without blocking the event loop."""

from typing import Any

import numpy as np
import pytest

from service.language_model import LanguageModel
from tests.support.api_client import ApiClient, error_json
from tests.support.completions import complete, only_choice, thread_names

SENTENCE = "The old river runs through the city . "


@pytest.mark.parametrize(
    ("prompts", "step"), [([SENTENCE * 20] * 10, "encode"), ([[2] * 500] * 10, "decode")]
)
def test_many_short_prompts_are_tokenized_in_background(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch, prompts: Any, step: str
) -> None:
    """A single one is tokenized on the event loop; all of them together would block it."""
    threads = thread_names(monkeypatch, model.tokenizer, step)
    assert len(complete(api, prompt=prompts, max_tokens=0, echo=True)["choices"]) == 10
    assert len(threads) >= 10
    assert all(name.startswith("background") for name in threads)


@pytest.mark.parametrize(("prompts", "step"), [(["a"] * 4097, "encode"), ([[2]] * 4097, "decode")])
def test_too_many_prompts_are_not_tokenized(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch, prompts: Any, step: str
) -> None:
    threads = thread_names(monkeypatch, model.tokenizer, step)
    refusal = error_json(
        api.post("/v1/completions", model="tiedlm", prompt=prompts), 422, "input_too_long"
    )
    assert refusal["param"] == "prompt"
    assert threads == []


def test_offsets_of_ambiguous_ids_need_linear_time(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokenizer splits the decoded text into other ids, so that it cannot return the offsets
    of these ids. Decoding once for each id would take quadratic time.
    """
    entries = model.tokenizer.entries
    ids = [entries.index(entry) for entry in ("The", "'s", ".", "'s")] * 50
    assert model.tokenizer.encode(model.tokenizer.decode(np.array(ids))).ids.tolist() != ids
    readings = thread_names(monkeypatch, model.tokenizer, "decode")
    choice = only_choice(api, prompt=ids, max_tokens=0, echo=True, logprobs=0)
    assert len(readings) < 5
    offsets = choice["logprobs"]["text_offset"]
    assert offsets == sorted(offsets)
    for entry, offset in zip(choice["logprobs"]["tokens"], offsets, strict=True):
        assert choice["text"].startswith(entry, offset)
