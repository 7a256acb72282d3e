"""What can be asked of the service: each function makes a `Call`, and no function sends one.

`Client` and `AsyncClient` have a method of the same name and arguments for each. All calls only
read, so that each may be sent again. A None is not sent and leaves the service's default; every
other name and default is the wire's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, Literal, TypeVar

from service.client import arguments
from service.client.decoding import read
from service.client.info import Info
from service.client.results import (
    Detokenization,
    Health,
    NextTokenResult,
    RescoreResult,
    Tokenization,
)
from service.client.score_results import ScoreResult

T = TypeVar("T")

HYPOTHESES = "a list of hypotheses"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request and how its JSON answer is read; `if_unavailable` is the result without one."""

    method: str
    path: str
    body: dict[str, Any] | None
    read: Callable[[Any], T]
    if_unavailable: T | None = None


@dataclass(frozen=True, slots=True)
class Hypothesis:
    text: str
    score: float = 0.0
    """The recogniser's own, a logarithm."""
    id: str | None = None
    """Given back with the result."""


def score(
    text: str | None = None,
    *,
    texts: Sequence[str] | None = None,
    token_ids: Sequence[Sequence[int]] | None = None,
    context: str | None = None,
    contexts: Sequence[str] | None = None,
    bos: bool | None = None,
    eos: bool = True,
    unit: Literal["nats", "bits", "bans"] = "nats",
    tokens: bool = True,
    details: bool = False,
    top: int = 0,
    targets: Sequence[Sequence[Mapping[str, float]]] | None = None,
    top_g: int | None = None,
    cache: Mapping[str, float] | None = None,
    calibration: str | None = None,
    state: str | None = None,
    return_state: bool = False,
) -> Call[ScoreResult]:
    """Cross-entropy and perplexity of one text, or of several, token by token.

    Give exactly one of `text`, `texts` and `token_ids`; one result comes for each text, in order.

    - `context`, or `contexts` with one a text, conditions and is not scored.
    - `bos`: start from the prefix token; true unless said otherwise or `state` is given. If false,
      a first token that nothing stands before has logprob None and is not counted.
    - `eos`: score the end of each text too.
    - `unit` is that of every cross-entropy and entropy; logprob is always natural.
    - `tokens=False` answers the aggregates only.
    - `details` adds rank and entropy to each token, `top` (up to 100) the most probable tokens in
      its place, and `top_g` whether it is anomalous: not among the g most probable (DeepLog).
    - `targets`: for each text and each of its scored positions a distribution over words that
      sums to 1; adds soft_cross_entropy.
    - `cache`, such as {"window": 2000, "theta": 0.3, "lambda": 0.1}: a continuous cache of each
      long text's own words; not with details, top, top_g or targets.
    - `calibration` names a table of the service (`info().calibrations`) and adds percentile to
      each result: the share of the table's texts that are less surprising. It is of whole texts:
      not with `bos` or `eos` false, a context, state or cache.
    - `state` goes on from a handle, with no `bos` and no context; `return_state` gives one a text,
      of the state after all that was read, the scored end included.

    Raises RequestRefused (InvalidState among them), Unavailable, ServerFailed, NoAnswer.
    """
    body = _given(
        text=arguments.text("text", text, several="texts"),
        texts=arguments.texts("texts", texts),
        token_ids=arguments.id_lists("token_ids", token_ids),
        context=arguments.text("context", context, several="contexts"),
        contexts=arguments.texts("contexts", contexts),
        bos=bos,
        eos=eos,
        unit=unit,
        tokens=tokens,
        details=details,
        top=top,
        targets=arguments.distributions("targets", targets),
        top_g=top_g,
        cache=arguments.mapping("cache", cache, "a dict of window, theta and lambda"),
        calibration=arguments.text("calibration", calibration),
        state=arguments.text("state", state),
        return_state=return_state,
    )
    return Call("POST", "/score", body, lambda data: read(ScoreResult, data))


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
    """The distribution of the next token after a context: its `top_k` most probable, and more.

    Give `context` or `token_ids`, or neither for the start of a text or for what `state` stands at.

    - `bos`: start from the prefix token; true unless said otherwise or `state` is given.
    - `candidates` are answered too, whatever their rank; each must be one token.
    - `temperature` divides the logits; then `exclude_special` leaves out `<unk>` and `<eos>`; then
      `prefix` leaves only words that begin so. Probabilities sum to 1 and ranks count from 1 over
      what is left; `prefix_probability` is the mass that the prefix left.
    - `state` goes on from a handle, and the context is only what came after it; `return_state`
      gives one of the state after the context.

    Raises RequestRefused (InvalidState among them), Unavailable, ServerFailed, NoAnswer.
    """
    body = _given(
        context=arguments.text("context", context),
        token_ids=arguments.ids("token_ids", token_ids),
        bos=bos,
        top_k=top_k,
        candidates=arguments.texts("candidates", candidates),
        prefix=arguments.text("prefix", prefix),
        temperature=temperature,
        exclude_special=exclude_special,
        state=arguments.text("state", state),
        return_state=return_state,
    )
    return Call("POST", "/next-token", body, lambda data: read(NextTokenResult, data))


def rescore(
    hypotheses: Sequence[str | Hypothesis | Mapping[str, Any]],
    *,
    context: str | None = None,
    lm_weight: float = 1.0,
    length_bonus: float = 0.0,
) -> Call[RescoreResult]:
    """An n-best list ordered by score + lm_weight · logprob + length_bonus · token_count.

    A hypothesis is a `Hypothesis`, a dict of the same fields (`{"text": "the river", "score":
    -1.2}`), or a `str`, whose score is 0. logprob is natural, of the text and its end after
    `context`. What the texts begin with alike is read once. Equal totals stay in order.

    Raises RequestRefused, Unavailable, ServerFailed, NoAnswer.
    """
    body = _given(
        hypotheses=[
            _hypothesis(one, f"hypotheses[{index}]")
            for index, one in enumerate(arguments.items("hypotheses", hypotheses, HYPOTHESES))
        ],
        context=arguments.text("context", context),
        lm_weight=lm_weight,
        length_bonus=length_bonus,
    )
    return Call("POST", "/rescore", body, lambda data: read(RescoreResult, data))


def tokenize(prompt: str, *, add_special_tokens: bool = True) -> Call[Tokenization]:
    """Ids of a text, by default after the prefix token.

    Raises RequestRefused, Unavailable, ServerFailed, NoAnswer.
    """
    body = _given(prompt=arguments.text("prompt", prompt), add_special_tokens=add_special_tokens)
    return Call("POST", "/tokenize", body, lambda data: read(Tokenization, data))


def detokenize(tokens: Sequence[int]) -> Call[str]:
    """The text of ids; it tokenizes to the same ids again.

    Raises RequestRefused, Unavailable, ServerFailed, NoAnswer.
    """
    body = _given(tokens=arguments.ids("tokens", tokens))
    return Call("POST", "/detokenize", body, lambda data: read(Detokenization, data).prompt)


def info() -> Call[Info]:
    """What is served: the model's card, limits, versions.

    Raises Unauthorized, Unavailable, ServerFailed, NoAnswer.
    """
    return Call("GET", "/info", None, lambda data: read(Info, data))


def ready() -> Call[bool]:
    """Whether the service is warm and not draining; asked once, never again by itself.

    False also where nothing answers. Raises ServerFailed or RequestRefused for an answer that is
    not the service's.
    """
    return Call(
        *("GET", "/health/ready", None),
        lambda data: read(Health, data).status == "ready",
        if_unavailable=False,
    )


def _hypothesis(one: Any, place: str) -> dict[str, Any]:
    if isinstance(one, str):
        return {"text": one}
    one = asdict(one) if isinstance(one, Hypothesis) else one
    given = arguments.fields_of(place, one, "a str, a Hypothesis, or a dict of text, score and id")
    for name in ("text", "id"):
        arguments.text(f"{place}.{name}", given.get(name))
    return {name: value for name, value in given.items() if value is not None}


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
