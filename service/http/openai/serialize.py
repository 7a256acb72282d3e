"""Completions as JSON bytes: what a prompt's choices repeat of it, and each choice, at once or by
and by. What is long is built apart from the event loop, and in blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from service.http.native.responses import BLOCK_TOKENS
from service.http.openai.completions import Choice
from service.http.openai.logprob_arrays import (
    Columns,
    Row,
    columns,
    echoed_rows,
    logprobs_by_id,
    named,
    written,
)
from service.http.openai.prompts import Prompt
from service.http.openai.schemas import CompletionRequest
from service.language_model import LanguageModel
from service.text.request_encoder import INLINE_CHARACTERS

# Of what choices repeat: more takes longer than a millisecond to copy as often as it is.
INLINE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Echo:
    """What every choice of a prompt repeats of it, written once: `text` stands between quotes."""

    text: bytes
    characters: int
    arrays: Columns
    prompt_logprobs: bytes | None

    @property
    def bytes(self) -> int:
        return len(self.text) + sum(map(len, self.arrays)) + len(self.prompt_logprobs or b"")


async def echoes_of(
    request: CompletionRequest, model: LanguageModel, prompts: list[Prompt]
) -> list[Echo]:
    def write() -> list[Echo]:
        return [_echo(request, model, prompt) for prompt in prompts]

    characters = sum(len(prompt.passage.text) for prompt in prompts if request.echo)
    tokens = sum(len(prompt.passage.ids) for prompt in prompts if prompt.score is not None)
    alternatives = (request.logprobs or 0) + (request.prompt_logprobs or 0)
    long = characters > INLINE_CHARACTERS or tokens * (1 + alternatives) > BLOCK_TOKENS
    return await model.run_in_background(write) if long else write()


async def answer_of(
    request: CompletionRequest,
    model: LanguageModel,
    head: bytes,
    echoes: list[Echo],
    choices: list[Choice],
    usage: dict[str, int],
) -> bytes:
    """The body of an answer with the same number of choices of each prompt. `head` is the object
    that it begins with.
    """
    each = len(choices) // len(echoes)

    def write() -> bytes:
        pieces = (
            ChoiceSerializer(request, model, echoes[index // each], index).rest(choice)
            for index, choice in enumerate(choices)
        )
        told = b",".join(piece for piece in pieces if piece is not None)
        return b'%b,"choices":[%b],"usage":%b}' % (head[:-1], told, orjson.dumps(usage))

    steps = sum(len(choice.steps) for choice in choices if request.logprobs is not None)
    long = steps * (1 + (request.logprobs or 0)) > BLOCK_TOKENS
    long |= each * sum(echo.bytes for echo in echoes) > INLINE_BYTES
    return await model.run_in_background(write) if long else write()


def usage_of(read: int, generated: int) -> dict[str, int]:
    """Return what OpenAI calls usage, in tokens."""
    return {
        "prompt_tokens": read,
        "completion_tokens": generated,
        "total_tokens": read + generated,
    }


class ChoiceSerializer:
    """One choice, and how much of it was told: characters of its text, and tokens."""

    def __init__(
        self, request: CompletionRequest, model: LanguageModel, echo: Echo, index: int
    ) -> None:
        self._request = request
        self._names = model.rows.names
        self._echo: Echo | None = echo
        self._before = echo.characters
        self._index = index
        self._characters = self._tokens = 0

    def rest(self, choice: Choice) -> bytes | None:
        """What is new and can change no more; None if nothing can be said yet."""
        text = choice.text[self._characters : choice.released]
        if not text and choice.finish_reason is None:
            return None
        echo, self._echo = self._echo, None
        self._characters = max(self._characters, choice.released)
        fields = {
            "index": str(self._index).encode(),
            "text": b'"' + (echo.text if echo else b"") + orjson.dumps(text)[1:],
            "finish_reason": orjson.dumps(choice.finish_reason),
            "logprobs": b"null",
        }
        if self._request.logprobs is not None:
            own = columns(self._drawn(choice), self._request.logprobs)
            fields["logprobs"] = written([echo.arrays, own] if echo else [own])
        if echo and echo.prompt_logprobs is not None:
            fields["prompt_logprobs"] = echo.prompt_logprobs
        return b"{" + b",".join(b'"%b":%b' % (k.encode(), v) for k, v in fields.items()) + b"}"

    def _drawn(self, choice: Choice) -> Iterator[Row]:
        """Those tokens of the continuation that a stop text can cut off no more."""
        whole = choice.finish_reason is not None and choice.text == choice.continuation.text
        for at in range(self._tokens, len(choice.steps)):
            step, start = choice.steps[at], choice.continuation.starts[at]
            if start >= choice.released and not whole:
                return
            self._tokens += 1
            top = named(self._names, step.id, step.logprob, step.top_ids, step.top_logprobs)
            yield self._names[step.id], step.logprob, top, self._before + start


def _echo(request: CompletionRequest, model: LanguageModel, prompt: Prompt) -> Echo:
    passage, score = prompt.passage, prompt.score
    rows, by_id = iter(list[Row]()), None
    if score is not None and request.echo and request.logprobs is not None:
        rows = echoed_rows(model.rows, passage, score, request.logprobs)
    if score is not None and request.prompt_logprobs is not None:
        by_id = logprobs_by_id(model.rows.names, score, request.prompt_logprobs)
    return Echo(
        text=orjson.dumps(passage.text)[1:-1] if request.echo else b"",
        characters=len(passage.text) if request.echo else 0,
        arrays=columns(rows, request.logprobs or 0),
        prompt_logprobs=by_id,
    )
