"""The response of a completion as JSON: one body, or the events of a stream."""

import time
import uuid
from typing import Any

import orjson

from service.http.json_blocks import BLOCK_TOKENS
from service.http.openai.choice import Choice
from service.http.openai.choice_serializer import ChoiceSerializer, Echo, serialize_echo
from service.http.openai.prompt import Prompt
from service.http.openai.request_schemas import CompletionRequest
from service.language_model import LanguageModel
from service.text.request_encoder import INLINE_CHARACTERS

# Above this many echoed bytes the body is built in the background thread, because copying them
# takes over a millisecond.
INLINE_BYTES = 1_000_000

Usage = dict[str, int]


class ResponseSerializer:
    """The serialised parts of one response: its header, the echoes of its prompts, its choices."""

    def __init__(self, request: CompletionRequest, model: LanguageModel) -> None:
        self._request = request
        self._rows = model.rows
        self._run_in_background = model.run_in_background
        self._echoes: list[Echo] = []
        self._header = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model.info.name,
        }

    async def serialize_echoes(self, prompts: list[Prompt]) -> None:
        """Serialise what the choices repeat of each prompt, once for all choices."""
        request, rows = self._request, self._rows

        def serialize() -> list[Echo]:
            return [serialize_echo(request, rows, prompt) for prompt in prompts]

        characters = sum(len(prompt.tokenized.text) for prompt in prompts if request.echo)
        tokens = sum(len(prompt.tokenized.ids) for prompt in prompts if prompt.score is not None)
        alternatives = (request.logprobs or 0) + (request.prompt_logprobs or 0)
        long = characters > INLINE_CHARACTERS or tokens * (1 + alternatives) > BLOCK_TOKENS
        self._echoes = await self._run_in_background(serialize) if long else serialize()

    def choice_serializers(self) -> list[ChoiceSerializer]:
        """Return a serialiser for each choice: `n` of the first prompt, `n` of the second …"""
        n = self._request.n
        return [
            ChoiceSerializer(self._request, self._rows, echo, number * n + index)
            for number, echo in enumerate(self._echoes)
            for index in range(n)
        ]

    async def body(self, choices: list[Choice], usage: Usage) -> bytes:
        """Return a body with `choices`, `n` of each prompt."""

        def serialize() -> bytes:
            serializers = zip(self.choice_serializers(), choices, strict=True)
            complete = [serializer.delta(choice) for serializer, choice in serializers]
            return orjson.dumps({**self._header, "choices": complete, "usage": usage})

        request = self._request
        steps = sum(len(choice.steps) for choice in choices if request.logprobs is not None)
        long = steps * (1 + (request.logprobs or 0)) > BLOCK_TOKENS
        long |= request.n * sum(echo.size for echo in self._echoes) > INLINE_BYTES
        return await self._run_in_background(serialize) if long else serialize()

    def event(self, choices: list[dict[str, Any]], usage: Usage | None = None) -> bytes:
        """Return an event with deltas of `choices`; `usage` only if the request includes it."""
        data: dict[str, Any] = {**self._header, "choices": choices}
        if self._request.includes_usage:
            data["usage"] = usage
        return server_sent_event(orjson.dumps(data))


def server_sent_event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
