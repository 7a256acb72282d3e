"""The kinds of tokenizers, named as in the trainer's configuration."""

import json
from typing import Any, Literal

Kind = Literal["words", "whitespace", "char", "bpe", "unigram"]


def tokenizer_kind(serialized: bytes, *, subword: bool) -> Kind:
    """Return the kind of a `tokenizer.json`."""
    content: Any = json.loads(serialized)
    model = _model_type(content["model"])
    if model == "BPE":
        return "bpe"
    if model == "Unigram":
        return "unigram"
    if subword:
        return "char"
    pre_tokenizer = content.get("pre_tokenizer") or {}
    return "whitespace" if pre_tokenizer.get("type") == "WhitespaceSplit" else "words"


def _model_type(model: Any) -> str:
    """Return the type of a tokenizer's model. Files of older versions of the library do not name
    it; there the fields decide.
    """
    if "type" in model:
        return str(model["type"])
    if "merges" in model:
        return "BPE"
    return "Unigram" if isinstance(model.get("vocab"), list) else "WordLevel"
