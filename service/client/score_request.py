"""The request that scores texts."""

from collections.abc import Mapping, Sequence
from typing import Literal

from service.client import arguments
from service.client.calls import Call, without_none
from service.client.decoding import decode
from service.client.score_results import ScoreResult


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
    """Return the cross-entropy and perplexity of one or several texts, token by token.

    >>> result = client.score("The old river ran.", unit="bits")
    >>> rows = [(token.surface, token.cross_entropy) for token in result.results[0].tokens]
    >>> perplexity = client.score(texts=["One text.", "Another."]).summary.perplexity

    Pass exactly one of `text`, `texts` and `token_ids`. There is one result per text, in order.

    - `context`, or `contexts` with one per text, conditions the text and is not scored.
    - `bos` starts from the prefix token. The default is true, or false with `state`. If false, a
      first token without a predecessor has logprob None and is not counted.
    - `eos` scores the end of each text too.
    - `unit` is the unit of every cross-entropy and entropy; logprob is always natural.
    - `tokens=False` returns the aggregates only.
    - `details` adds rank and entropy to each token. `top` (up to 100) adds the most probable
      tokens at its position. `top_g` adds whether it is anomalous, that is, not among the `top_g`
      most probable tokens (Du et al. 2017, DeepLog).
    - `targets`: for each text and each of its scored positions a distribution over words that sums
      to 1; adds soft_cross_entropy.
    - `cache`, such as {"window": 2000, "theta": 0.3, "lambda": 0.1}, adds a continuous cache of
      each text's own words (Grave et al. 2017); not with details, top, top_g or targets.
    - `calibration` is the name of a table of the service (`info().calibrations`). It adds the
      percentile of each result: the share of the table's texts that are less surprising. It needs
      whole texts: not with `bos` or `eos` false, a context, state or cache.
    - `state` is a handle to continue from, without `bos` and without a context. `return_state`
      returns a handle per text: the state after the last token, the scored end included.

    Raises BadRequest (InvalidState is one), Unavailable, ServerError, ConnectionFailed.
    """
    body = without_none(
        text=arguments.check_text("text", text, plural="texts"),
        texts=arguments.check_texts("texts", texts),
        token_ids=arguments.check_id_lists("token_ids", token_ids),
        context=arguments.check_text("context", context, plural="contexts"),
        contexts=arguments.check_texts("contexts", contexts),
        bos=bos,
        eos=eos,
        unit=unit,
        tokens=tokens,
        details=details,
        top=top,
        targets=arguments.check_distributions("targets", targets),
        top_g=top_g,
        cache=arguments.check_mapping("cache", cache, "a dict of window, theta and lambda"),
        calibration=arguments.check_text("calibration", calibration),
        state=arguments.check_text("state", state),
        return_state=return_state,
    )
    return Call("POST", "/score", body, lambda data: decode(ScoreResult, data))
