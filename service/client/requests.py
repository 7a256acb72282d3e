"""The requests of all client methods but `score`: each function returns a `Call` and sends nothing.

`Client` and `AsyncClient` have a method with the same name and arguments for each function here.
Names and defaults are those of the wire. None is not sent: the service then applies its default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from service.client import arguments
from service.client.calls import Call, without_none
from service.client.decoding import decode
from service.client.results import (
    Detokenization,
    Health,
    Info,
    NextTokenResult,
    RescoreResult,
    Tokenization,
)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One entry of an n-best list."""

    text: str
    score: float = 0.0
    """The recogniser's own log score."""
    id: str | None = None
    """Returned with the result."""


def next_token(
    context: str | None = None,
    *,
    token_ids: Sequence[int] | None = None,
    bos: bool | None = None,
    top_k: int = 10,
    candidates: Sequence[str] = (),
    prefix: str | None = None,
    temperature: float = 1.0,
    exclude_special: bool = False,
    state: str | None = None,
    return_state: bool = False,
) -> Call[NextTokenResult]:
    """Return the distribution of the next token after a context: its `top_k` most probable tokens.

    >>> words = [token.surface for token in client.next_token("The capital of", top_k=3).tokens]

    Pass `context` or `token_ids`, or neither for the start of a text or the position of `state`.

    - `bos` starts from the prefix token. The default is true, or false with `state`.
    - `candidates` are returned too, at any rank. Each must be one token.
    - `temperature` divides the logits; then `exclude_special` removes `<unk>` and `<eos>`; then
      `prefix` keeps only the words that start with it. Probabilities sum to 1 and ranks count from
      1 over the remaining words. `prefix_probability` is the mass of the words that `prefix` kept.
    - `state` is a handle to continue from; `context` is then only the text after it.
      `return_state` returns a handle of the state after the context.

    Raises BadRequest (InvalidState is one), Unavailable, ServerError, ConnectionFailed.
    """
    body = without_none(
        context=arguments.check_text("context", context),
        token_ids=arguments.check_ids("token_ids", token_ids),
        bos=bos,
        top_k=top_k,
        candidates=arguments.check_texts("candidates", candidates),
        prefix=arguments.check_text("prefix", prefix),
        temperature=temperature,
        exclude_special=exclude_special,
        state=arguments.check_text("state", state),
        return_state=return_state,
    )
    return Call("POST", "/next-token", body, lambda data: decode(NextTokenResult, data))


def rescore(
    hypotheses: Sequence[str | Hypothesis | Mapping[str, Any]],
    *,
    context: str | None = None,
    lm_weight: float = 1.0,
    length_bonus: float = 0.0,
) -> Call[RescoreResult]:
    """Return an n-best list sorted by score + lm_weight · logprob + length_bonus · token_count.

    >>> best = client.rescore(["the river", "the liver"], context="We swam in").results[0].text

    A hypothesis is a `Hypothesis`, a dict of the same fields (`{"text": "the river", "score":
    -1.2}`), or a `str` with score 0. logprob is the natural logarithm of the probability of the
    text and its end after `context`. A common prefix of the texts is computed once. Hypotheses with
    equal totals keep their order.

    Raises BadRequest, Unavailable, ServerError, ConnectionFailed.
    """
    entries = arguments.check_list("hypotheses", hypotheses, "a list of hypotheses")
    body = without_none(
        hypotheses=[
            _hypothesis_fields(f"hypotheses[{index}]", entry) for index, entry in enumerate(entries)
        ],
        context=arguments.check_text("context", context),
        lm_weight=lm_weight,
        length_bonus=length_bonus,
    )
    return Call("POST", "/rescore", body, lambda data: decode(RescoreResult, data))


def _hypothesis_fields(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"text": value}
    fields = arguments.check_required_mapping(
        name,
        asdict(value) if isinstance(value, Hypothesis) else value,
        "a str, a Hypothesis, or a dict of text, score and id",
    )
    for field in ("text", "id"):
        arguments.check_text(f"{name}.{field}", fields.get(field))
    return {field: value for field, value in fields.items() if value is not None}


def tokenize(prompt: str, *, add_special_tokens: bool = True) -> Call[Tokenization]:
    """Return the token ids of a text, by default with the prefix token first.

    >>> ids = client.tokenize("the river ran", add_special_tokens=False).tokens

    Raises BadRequest, Unavailable, ServerError, ConnectionFailed.
    """
    body = without_none(
        prompt=arguments.check_text("prompt", prompt), add_special_tokens=add_special_tokens
    )
    return Call("POST", "/tokenize", body, lambda data: decode(Tokenization, data))


def detokenize(tokens: Sequence[int]) -> Call[str]:
    """Return the text of token ids. Tokenizing the text gives the same ids.

    >>> text = client.detokenize(client.tokenize("the river", add_special_tokens=False).tokens)

    Raises BadRequest, Unavailable, ServerError, ConnectionFailed.
    """
    body = without_none(tokens=arguments.check_ids("tokens", tokens))
    return Call("POST", "/detokenize", body, lambda data: decode(Detokenization, data).prompt)


def info() -> Call[Info]:
    """Return the model card, the limits and the versions of the service.

    >>> vocabulary_size = client.info().vocabulary_size

    Raises Unauthorized, Unavailable, ServerError, ConnectionFailed.
    """
    return Call("GET", "/info", None, lambda data: decode(Info, data))


def ready() -> Call[bool]:
    """Return whether the service is warm and not draining. The request is never retried.

    >>> is_ready = client.ready()

    False also if there is no response. Raises ServerError or BadRequest if the response does not
    come from this service.
    """
    return Call(
        *("GET", "/health/ready", None),
        lambda data: decode(Health, data).status == "ready",
        if_unavailable=False,
    )
