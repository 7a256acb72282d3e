"""One completion request, from its prompts to its response or stream.

prepare: tokenize and prefill the prompts ─┬─► serialize: choices in one body
                                           └─► stream: choices as server-sent events
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import orjson

from service.arrays import Priority
from service.errors import ServiceError
from service.http.errors import error_content
from service.http.openai.choice import Choice, ChoiceGenerator, best_choices
from service.http.openai.completion_limits import CompletionLimits
from service.http.openai.completion_serializer import ResponseSerializer, Usage, server_sent_event
from service.http.openai.prompt import Prompt, split_prompts
from service.http.openai.request_schemas import CompletionRequest
from service.http.request_context import RequestContext
from service.limits import BYTES_PER_TOKEN
from service.results.options import PrefillOptions

# Each choice queues for its next token by itself: thousands at once would delay other requests.
MAX_CONCURRENT_CHOICES = 64


class Completion:
    """The prompts and choices of one request."""

    def __init__(self, request: CompletionRequest, context: RequestContext) -> None:
        model = context.model
        self._request = request
        self._context = context
        self._model = model
        self._limits = CompletionLimits(request, model.limits)
        self._generator = ChoiceGenerator(request, model)
        self._response = ResponseSerializer(request, model)
        self._prompts: list[Prompt] = []

    async def prepare(self) -> None:
        """Tokenize and prefill the prompts, and serialise what the choices repeat of them.

        A request that only scores its prompts waits for its turn as a request to `/score` does.
        Raises InvalidRequest, InputTooLong, UnknownToken, Overloaded, DeadlineExceeded.
        """
        self._limits.check_fields()
        texts, id_lists = split_prompts(self._request)
        self._limits.check_choices(len(texts) + len(id_lists))
        priority: Priority = "bulk" if self._request.only_scores else "interactive"
        characters = sum(map(len, texts)) or BYTES_PER_TOKEN * sum(map(len, id_lists))
        async with self._model.admission.admit(priority, characters, holds_slot=True):
            await self._tokenize_prompts(texts, id_lists, priority)
            await self._prefill_prompts()
        self._context.record_tokens(self._prompt_tokens)
        await self._response.serialize_echoes(self._prompts)

    async def _tokenize_prompts(
        self, texts: list[str], id_lists: list[list[int]], priority: Priority
    ) -> None:
        encoder, limits = self._model.encoder, self._limits
        if texts:
            tokenized = await encoder.encode_texts(texts, "prompt", priority)
            limits.check_tokens([len(text.ids) for text in tokenized])
        else:
            limits.check_tokens(list(map(len, id_lists)))
            if id_lists == [self._request.prompt]:
                tokenized = [await encoder.decode_ids(id_lists[0], "prompt", priority)]
            else:
                tokenized = await encoder.decode_id_lists(id_lists, "prompt", priority)
        limits.check_echoed_bytes(text.text for text in tokenized)
        self._prompts = [Prompt(text) for text in tokenized]

    async def _prefill_prompts(self) -> None:
        """Encode each prompt once, however many choices follow it."""
        request = self._request
        tokenized = [prompt.tokenized for prompt in self._prompts]
        bos = tokenized[0].starts is not None  # texts only: nothing is added to ids
        options = PrefillOptions(
            bos=bos,
            score=request.scores_prompts,
            details=request.prompt_logprobs is not None,
            top=request.max_alternatives,
            return_state=request.max_tokens > 0,
            admitted=request.only_scores,
        )
        results = await self._model.prefill(tokenized, options)
        for prompt, result in zip(self._prompts, results, strict=True):
            prompt.score, prompt.state = result.score, result.state

    async def choices(
        self, on_token: Callable[[int, Choice], None] = lambda index, choice: None
    ) -> list[Choice]:
        """Generate all choices, prompt by prompt, at most MAX_CONCURRENT_CHOICES at once.

        `on_token` is called with the index of a choice and the choice, after each of its tokens and
        at its end. The first choice that fails cancels the others, and its error is raised.
        """
        per_prompt = self._request.choices_per_prompt
        slots = asyncio.Semaphore(MAX_CONCURRENT_CHOICES)

        async def generate_choice(index: int) -> Choice:
            prompt = self._prompts[index // per_prompt]
            async with slots:
                async for choice in self._generator.generate(prompt, index % per_prompt):
                    on_token(index, choice)
            return choice

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(generate_choice(index))
                    for index in range(len(self._prompts) * per_prompt)
                ]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]

    async def serialize(self) -> bytes:
        """Generate the choices and return the response's body, with the `n` best of each prompt."""
        choices, request = await self.choices(), self._request
        generated = sum(len(choice.steps) for choice in choices)
        self._context.record_tokens(generated)
        best = best_choices(choices, request.choices_per_prompt, request.n)
        return await self._response.body(best, self._usage(generated))

    async def stream(self) -> AsyncIterator[bytes]:
        """Generate the choices and yield an event for each delta, then `[DONE]`.

        With `stream_options.include_usage` one more event holds the usage, and the usage of all
        others is null. An error is sent as the last event, in place of `[DONE]`. An error that is
        no ServiceError is then raised, so that it is logged and the connection closes.
        """
        events: asyncio.Queue[bytes | None] = asyncio.Queue()
        serializers = self._response.choice_serializers()
        generated = [0] * len(serializers)

        def on_token(index: int, choice: Choice) -> None:
            generated[index] = len(choice.steps)
            delta = serializers[index].delta(choice)
            if delta is not None:
                events.put_nowait(self._response.event([delta]))

        async def generate() -> None:
            try:
                await self.choices(on_token)
            finally:
                events.put_nowait(None)

        task = asyncio.create_task(generate())
        try:
            while (event := await events.get()) is not None:
                yield event
            await task
            if self._request.includes_usage:
                yield self._response.event([], self._usage(sum(generated)))
            yield server_sent_event(b"[DONE]")
        except Exception as error:
            content = error_content(error)
            self._context.metrics.rejected.labels(content["error"]["code"]).inc()
            yield server_sent_event(orjson.dumps(content))
            if not isinstance(error, ServiceError):
                raise
        finally:
            task.cancel()
            self._context.record_tokens(sum(generated))

    @property
    def _prompt_tokens(self) -> int:
        return sum(len(prompt.tokenized.ids) for prompt in self._prompts)

    def _usage(self, generated: int) -> Usage:
        prompt_tokens = self._prompt_tokens
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": generated,
            "total_tokens": prompt_tokens + generated,
        }
