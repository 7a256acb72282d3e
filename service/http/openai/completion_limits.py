"""Limits of a completion request: texts, tokens and bytes over all of its prompts and choices."""

from collections.abc import Iterable

from service.errors import InputTooLong, InvalidRequest
from service.http.openai.request_schemas import CompletionRequest
from service.limits import MAX_TOP_TOKENS, ServerLimits


class CompletionLimits:
    """Checks of one request. Each raises InputTooLong with the field that is too large."""

    def __init__(self, request: CompletionRequest, limits: ServerLimits) -> None:
        self._request = request
        self._server = limits
        self._alternatives = request.max_alternatives
        # How many choices contain the tokens of their prompt.
        self._copies = request.n if request.echo or request.prompt_logprobs is not None else 0

    def check_fields(self) -> None:
        """Raise InvalidRequest for fields that exclude each other."""
        request = self._request
        if request.choices_per_prompt < request.n:
            raise InvalidRequest(f"best_of must be at least n, which is {request.n}", "best_of")
        if request.stream_options is not None and not request.stream:
            raise InvalidRequest("stream_options requires stream true", "stream_options")
        if request.stream and request.choices_per_prompt > request.n:
            raise InvalidRequest("best_of greater than n cannot be streamed", "best_of")
        if request.max_tokens == 0 and not request.echo:
            raise InvalidRequest("max_tokens must be at least 1 without echo", "max_tokens")

    def check_choices(self, prompts: int) -> None:
        """Check the number of prompts and choices, and of tokens to generate for them."""
        request, limit = self._request, self._server.max_texts
        if prompts > limit:
            raise InputTooLong(f"too many prompts: {prompts} (at most {limit})", "prompt")
        choices = prompts * request.choices_per_prompt
        if choices > limit:
            raise InputTooLong(
                f"too many choices over all prompts: {choices} (at most {limit})",
                "n" if request.best_of is None else "best_of",
            )
        tokens, limit = choices * request.max_tokens, self._server.max_request_tokens
        if tokens > limit:
            raise InputTooLong(
                f"too many tokens to generate over all choices: {tokens} (at most {limit})",
                "max_tokens",
            )

    def check_tokens(self, lengths: list[int]) -> None:
        """Check the tokens of prompts with these `lengths` and those to generate. A prompt counts
        once for each choice that contains it.
        """
        request, limit = self._request, self._server.max_request_tokens
        generated = len(lengths) * request.choices_per_prompt * request.max_tokens
        prompt_tokens = max(1, self._copies) * sum(lengths)
        if prompt_tokens + generated > limit:
            raise InputTooLong(
                f"too many tokens: {prompt_tokens} in prompts, once for each choice that contains "
                f"them, and {generated} to generate (at most {limit} together)",
                "prompt" if prompt_tokens > generated else "max_tokens",
            )
        in_response = self._copies * sum(lengths) + generated
        alternatives = in_response * (1 + self._alternatives)
        if self._alternatives and alternatives > MAX_TOP_TOKENS:
            raise InputTooLong(
                f"too many alternatives: tokens in the response × (1 + {self._alternatives}) is "
                f"{alternatives} (at most {MAX_TOP_TOKENS})",
                "logprobs" if request.logprobs == self._alternatives else "prompt_logprobs",
            )

    def check_echoed_bytes(self, texts: Iterable[str]) -> None:
        """Check the bytes of `texts` that choices repeat.

        The number of tokens does not limit them, because a token may be long, and white space is
        not a token.
        """
        if not self._request.echo or self._request.n == 1:
            return
        limit = self._server.max_body_bytes
        repeated = (self._request.n - 1) * sum(len(text.encode()) for text in texts)
        if repeated > limit:
            raise InputTooLong(
                f"too many bytes of prompts repeated in choices: {repeated} (at most {limit})", "n"
            )
