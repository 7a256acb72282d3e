"""A completion request's choices: drawing tokens, stopping, and what an answer says of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import islice
from statistics import fmean
from typing import Any

import numpy as np

from service.continuation import Continuation, continuation_of, starts_in
from service.generation import Sampler, Sampling, Step, generate
from service.http.prompts import Prompt
from service.http.schemas.openai import CompletionRequest
from service.language_model import LanguageModel
from service.reader import Passage
from service.text_score import TextScore


@dataclass(slots=True)
class Choice:
    """One continuation in the making. `released` counts the characters that can change no more;
    `end` is the `<eos>` that was drawn and ended it, which is not among its `steps`.
    """

    continuation: Continuation
    steps: list[Step] = field(default_factory=list)
    end: Step | None = None
    text: str = ""
    released: int = 0
    finish_reason: str | None = None

    @property
    def mean_logprob(self) -> float:
        """Over all tokens drawn, the `<eos>` too: without it a choice that ended at once would be
        the best of all.
        """
        drawn = self.steps if self.end is None else [*self.steps, self.end]
        return fmean(step.logprob for step in drawn) if drawn else 0.0


def sampler(request: CompletionRequest, model: LanguageModel, index: int) -> Sampler:
    """The source of tokens of choice `index` of a request; `<unk>` never comes of it."""
    sampling = Sampling(
        temperature=request.temperature,
        top_p=request.top_p,
        excluded=model.tokenizer.unknown_id,
        top=request.logprobs or 0,
    )
    return Sampler(sampling, None if request.seed is None else [abs(request.seed), index])


async def complete(
    request: CompletionRequest, model: LanguageModel, prompt: Prompt, index: int
) -> AsyncIterator[Choice]:
    """Grow one choice, yielded after every token and at its end.

    It ends before `<eos>` and before a stop text. Only an echoed, scored request for one token gets
    just that token whatever it is, as tools expect that score prompts so.
    """
    ids = prompt.passage.ids
    choice = Choice(continuation_of(model.tokenizer, ids))
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    exact = request.echo and request.logprobs is not None and request.max_tokens == 1
    stops = [] if exact else [stop for stop in stops if stop]
    held = max((len(stop) for stop in stops), default=1) - 1
    source = sampler(request, model, index)
    async for step in generate(model, ids, source, request.max_tokens, bos=prompt.bos):
        if step.id == model.tokenizer.end_id and not exact:
            choice.end, choice.finish_reason = step, "stop"
            break
        choice.continuation.add(step.id)
        choice.steps.append(step)
        choice.text = choice.continuation.text
        found = [at for stop in stops if (at := choice.text.find(stop, choice.released)) >= 0]
        if found:
            choice.text = choice.text[: min(found)]
            choice.finish_reason = "stop"
            break
        choice.released = max(choice.released, choice.continuation.settled - held)
        yield choice
    choice.finish_reason = choice.finish_reason or "length"
    choice.released = len(choice.text)
    yield choice


def logprobs_of(
    request: CompletionRequest,
    model: LanguageModel,
    prompt: Prompt,
    choice: Choice,
    sent: int = 0,
) -> dict[str, Any]:
    """Parallel arrays over the echoed prompt and those tokens of the continuation that a stop text
    can cut off no more, without the first `sent`.
    """
    names = model.tokenizer.vocabulary.names
    arrays: dict[str, list[Any]] = {
        "tokens": [],
        "token_logprobs": [],
        "top_logprobs": [],
        "text_offset": [],
    }

    def add(token: int, logprob: float | None, top: dict[str, float] | None, offset: int) -> None:
        arrays["tokens"].append(names[token])
        arrays["token_logprobs"].append(logprob)
        arrays["top_logprobs"].append(top)
        arrays["text_offset"].append(offset)

    base, echoed = 0, []
    if request.echo and prompt.score is not None:
        base, echoed = len(prompt.passage.text), prompt.passage.ids.tolist()
    if prompt.score is not None and sent < len(echoed):
        offsets = prompt_offsets(model, prompt.passage)
        for at, token in enumerate(echoed):
            logprob, ids, values = _scored(prompt.score, at, request.logprobs or 0)
            top = None if logprob is None else _named(names, token, logprob, ids, values)
            add(token, logprob, top, offsets[at])
    whole = choice.finish_reason is not None and choice.text == choice.continuation.text
    steps = zip(choice.steps, choice.continuation.starts, strict=True)
    for step, start in islice(steps, max(0, sent - len(echoed)), None):
        if start >= choice.released and not whole:
            break
        named = _named(names, step.id, step.logprob, step.top_ids, step.top_logprobs)
        add(step.id, step.logprob, named, base + start)
    return arrays


def prompt_logprobs_of(
    count: int, model: LanguageModel, score: TextScore
) -> list[dict[str, Any] | None]:
    """For each token of a prompt the `count` most probable by id, the actual one first."""
    names = model.tokenizer.vocabulary.names
    rows: list[dict[str, Any] | None] = []
    for at, token in enumerate(score.ids.tolist()):
        logprob, ids, values = _scored(score, at, count)
        if logprob is None or score.decoded.ranks is None:
            rows.append(None)
            continue
        rank = int(score.decoded.ranks[at - score.unscored])
        row = {str(token): {"logprob": logprob, "decoded_token": names[token], "rank": rank}}
        for position, (other, value) in enumerate(zip(ids, values, strict=True), 1):
            entry = {"logprob": value, "decoded_token": names[other], "rank": position}
            row.setdefault(str(other), entry)
        rows.append(row)
    return rows


def prompt_offsets(model: LanguageModel, passage: Passage) -> list[int]:
    """Where each token of a prompt starts in its text."""
    if passage.starts is not None:
        return passage.starts
    again = model.tokenizer.encode(passage.text)
    if np.array_equal(again.ids, passage.ids):
        return again.starts
    return starts_in(passage.text, model.tokenizer, passage.ids)


def _scored(score: TextScore, at: int, count: int) -> tuple[float | None, list[int], list[float]]:
    """Log-probability of token `at`, None if nothing stood before it, and the most probable."""
    row = at - score.unscored
    if row < 0:
        return None, [], []
    logprob = float(score.logprobs[at])
    if not count or score.decoded.top_ids is None or score.decoded.top_logprobs is None:
        return logprob, [], []
    ids = score.decoded.top_ids[row][:count].tolist()
    return logprob, ids, score.decoded.top_logprobs[row][:count].astype(np.float64).tolist()


def _named(
    names: list[str], token: int, logprob: float, ids: list[int], values: list[float]
) -> dict[str, float]:
    """The most probable tokens by name, and the actual one with its very float."""
    named = {names[other]: value for other, value in zip(ids, values, strict=True)}
    named[names[token]] = logprob
    return named
