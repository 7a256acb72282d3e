"""A completion request's choices: drawing tokens, and where each ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from statistics import fmean

from service.http.openai.prompts import Prompt
from service.http.openai.schemas import CompletionRequest
from service.language_model import LanguageModel
from service.results.options import GenerationOptions
from service.results.sampling import Step
from service.text.detokenizer import IncrementalDetokenizer

# Each queues for its next token by itself: all of a large request would keep others out.
MOST_GROWING = 64


@dataclass(slots=True)
class Choice:
    """One continuation in the making. `released` counts the characters that can change no more;
    `end` is the `<eos>` that was drawn and ended it, which is not among its `steps`.
    """

    continuation: IncrementalDetokenizer
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


async def complete_all(
    request: CompletionRequest,
    model: LanguageModel,
    prompts: list[Prompt],
    grown: Callable[[int, Choice], None] = lambda index, choice: None,
) -> list[Choice]:
    """The choices of the first prompt, of the second …, MOST_GROWING of them at once; `grown` is
    told of each after every token and at its end. The first that fails ends the others and is
    raised.
    """
    room = asyncio.Semaphore(MOST_GROWING)

    async def grow(index: int) -> Choice:
        prompt = prompts[index // request.choices]
        async with room:
            async for choice in complete(request, model, prompt, index % request.choices):
                grown(index, choice)
        return choice

    try:
        async with asyncio.TaskGroup() as group:
            growing = [
                group.create_task(grow(index)) for index in range(len(prompts) * request.choices)
            ]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in growing]


async def complete(
    request: CompletionRequest, model: LanguageModel, prompt: Prompt, index: int
) -> AsyncIterator[Choice]:
    """Grow one choice, yielded after every token and at its end.

    It ends before `<eos>` and before a stop text. Only an echoed, scored request for one token gets
    just that token whatever it is, as tools expect that score prompts so.
    """
    choice = Choice(model.rows.detokenizer(prompt.passage))
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    exact = _is_scoring_probe(request)
    stops = [] if exact else [stop for stop in stops if stop]
    held = max((len(stop) for stop in stops), default=1) - 1
    async for step in _steps(request, model, prompt, index):
        if step.id == model.info.end_id and not exact:
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


async def _steps(
    request: CompletionRequest, model: LanguageModel, prompt: Prompt, index: int
) -> AsyncIterator[Step]:
    """The tokens drawn for choice `index` of a prompt; `<unk>` never comes of it."""
    if prompt.state is None:  # there is nothing to draw
        return
    options = GenerationOptions(
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top=request.logprobs or 0,
        seed=None if request.seed is None else [abs(request.seed), index],
        stop_at_end=not _is_scoring_probe(request),
    )
    async for step in model.generate(prompt.state, options):
        yield step


def _is_scoring_probe(request: CompletionRequest) -> bool:
    """Return whether a tool scores the prompt and ignores the one token that it must generate."""
    return request.echo and request.logprobs is not None and request.max_tokens == 1
