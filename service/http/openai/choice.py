"""Choices: the continuations of a prompt, generated token by token."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from statistics import fmean

from service.http.openai.prompt import Prompt
from service.http.openai.request_schemas import CompletionRequest
from service.language_model import LanguageModel
from service.results.options import GenerationOptions
from service.results.sampling import Step
from service.text.detokenizer import IncrementalDetokenizer


@dataclass(slots=True)
class Choice:
    """A continuation. The first `stable_length` characters of `text` can change no more. `end_step`
    is the `<eos>` that ended the choice; `steps` does not contain it.
    """

    detokenizer: IncrementalDetokenizer
    steps: list[Step] = field(default_factory=list)
    end_step: Step | None = None
    text: str = ""
    stable_length: int = 0
    finish_reason: str | None = None

    @property
    def mean_logprob(self) -> float:
        """The mean over all tokens, `<eos>` included, because otherwise a choice that ended at once
        would have the highest mean.
        """
        steps = self.steps if self.end_step is None else [*self.steps, self.end_step]
        return fmean(step.logprob for step in steps) if steps else 0.0


def best_choices(choices: list[Choice], per_prompt: int, n: int) -> list[Choice]:
    """Return the `n` choices with the highest mean log-probability of each `per_prompt` choices."""
    if per_prompt == n:
        return choices
    best: list[Choice] = []
    for first in range(0, len(choices), per_prompt):
        group = choices[first : first + per_prompt]
        best += sorted(group, key=lambda choice: -choice.mean_logprob)[:n]
    return best


class ChoiceGenerator:
    """Generator of the choices of a request."""

    def __init__(self, request: CompletionRequest, model: LanguageModel) -> None:
        self._request = request
        self._model = model
        self._end_id = model.info.end_id
        # Evaluation tools score a prompt with echo and one token, and expect exactly one token.
        self._is_scoring_probe = (
            request.echo and request.logprobs is not None and request.max_tokens == 1
        )
        stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
        self._stops = [] if self._is_scoring_probe else [stop for stop in stops if stop]
        # The last characters of a text may be the beginning of a stop text.
        self._stop_lookback = max(map(len, self._stops), default=1) - 1

    async def generate(self, prompt: Prompt, index: int) -> AsyncIterator[Choice]:
        """Generate choice `index` of `prompt`; yield it after every token and at its end.

        A choice ends before `<eos>`, before a stop text, or after `max_tokens`. Raises
        DeadlineExceeded.
        """
        choice = Choice(self._model.rows.detokenizer(prompt.tokenized))
        async for step in self._steps(prompt, index):
            if step.id == self._end_id and not self._is_scoring_probe:
                choice.end_step, choice.finish_reason = step, "stop"
                break
            choice.detokenizer.add(step.id)
            choice.steps.append(step)
            choice.text = choice.detokenizer.text
            if self._cut_at_stop(choice):
                break
            stable = choice.detokenizer.stable_length - self._stop_lookback
            choice.stable_length = max(choice.stable_length, stable)
            yield choice
        choice.finish_reason = choice.finish_reason or "length"
        choice.stable_length = len(choice.text)
        yield choice

    def _cut_at_stop(self, choice: Choice) -> bool:
        """Cut the text before the first stop text in it. Return False if it holds none."""
        text, begin = choice.text, choice.stable_length
        found = [at for stop in self._stops if (at := text.find(stop, begin)) >= 0]
        if not found:
            return False
        choice.text = text[: min(found)]
        choice.finish_reason = "stop"
        return True

    async def _steps(self, prompt: Prompt, index: int) -> AsyncIterator[Step]:
        """Yield the tokens of choice `index`, at most `max_tokens`; never `<unk>`."""
        if prompt.state is None:  # max_tokens is 0
            return
        request = self._request
        options = GenerationOptions(
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            top=request.logprobs or 0,
            seed=None if request.seed is None else [abs(request.seed), index],
            stop_at_end=not self._is_scoring_probe,
        )
        async for step in self._model.generate(prompt.state, options):
            yield step
