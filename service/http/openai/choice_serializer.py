"""JSON of a completion's choices: the echoed prompt, and each choice complete or in deltas."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from service.http.openai.choice import Choice
from service.http.openai.logprobs import (
    COLUMNS,
    Columns,
    Row,
    logprobs_by_id,
    prompt_rows,
    to_columns,
    top_with_actual,
)
from service.http.openai.prompt import Prompt
from service.http.openai.request_schemas import CompletionRequest
from service.results.result_rows import ResultRows

BYTES_PER_LOGPROB = 50  # of a token with its names and offset, roughly


@dataclass(frozen=True, slots=True)
class Echo:
    """The part of a prompt that each of its choices repeats, serialised once.

    `text` and `columns` are empty unless the request has `echo`; `prompt_logprobs` is None unless
    the request has that field. `size` is their approximate length in bytes.
    """

    text: str
    columns: Columns
    prompt_logprobs: list[orjson.Fragment] | None
    size: int


def serialize_echo(request: CompletionRequest, result_rows: ResultRows, prompt: Prompt) -> Echo:
    """Serialise what the choices of `prompt` repeat of it."""
    text, score = prompt.tokenized.text if request.echo else "", prompt.score
    rows, by_id, size = iter(list[Row]()), None, len(text)
    if score is not None and request.echo and request.logprobs is not None:
        rows = prompt_rows(result_rows, prompt.tokenized, score, request.logprobs)
        size += BYTES_PER_LOGPROB * len(score.ids) * (1 + request.logprobs)
    if score is not None and request.prompt_logprobs is not None:
        by_id = logprobs_by_id(result_rows.names, score, request.prompt_logprobs)
        size += BYTES_PER_LOGPROB * len(score.ids) * (1 + request.prompt_logprobs)
    return Echo(
        text=text,
        columns=to_columns(rows, request.logprobs or 0),
        prompt_logprobs=by_id,
        size=size,
    )


class ChoiceSerializer:
    """Serialiser of one choice. Each delta continues where the last one ended."""

    def __init__(
        self, request: CompletionRequest, result_rows: ResultRows, echo: Echo, index: int
    ) -> None:
        """`index` is the choice's own, over all prompts."""
        self._request = request
        self._names = result_rows.names
        self._echo: Echo | None = echo
        self._echoed_length = len(echo.text)
        self._index = index
        self._sent_length = self._sent_tokens = 0

    def delta(self, choice: Choice) -> dict[str, Any] | None:
        """Return the part of `choice` that is stable and was not sent yet, or None if it is empty.

        The first delta begins with the echo, and the last one has the finish reason.
        """
        text = choice.text[self._sent_length : choice.stable_length]
        if not text and choice.finish_reason is None:
            return None
        echo, self._echo = self._echo, None
        self._sent_length = max(self._sent_length, choice.stable_length)
        delta: dict[str, Any] = {
            "index": self._index,
            "text": echo.text + text if echo else text,
            "finish_reason": choice.finish_reason,
            "logprobs": None,
        }
        if self._request.logprobs is not None:
            columns = to_columns(self._new_rows(choice), self._request.logprobs)
            if echo:
                columns = {name: echo.columns[name] + columns[name] for name in COLUMNS}
            delta["logprobs"] = columns
        if echo and echo.prompt_logprobs is not None:
            delta["prompt_logprobs"] = echo.prompt_logprobs
        return delta

    def _new_rows(self, choice: Choice) -> Iterator[Row]:
        """Yield a row for each new token that no stop text can remove any more."""
        complete = choice.finish_reason is not None and choice.text == choice.detokenizer.text
        for at in range(self._sent_tokens, len(choice.steps)):
            step, start = choice.steps[at], choice.detokenizer.starts[at]
            if start >= choice.stable_length and not complete:
                return
            self._sent_tokens += 1
            name = self._names[step.id]
            top = top_with_actual(
                self._names, step.id, step.logprob, step.top_ids, step.top_logprobs
            )
            yield name, step.logprob, top, self._echoed_length + start
