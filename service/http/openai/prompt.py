"""Prompts of a completion request."""

from dataclasses import dataclass

from service.arrays import Floats
from service.http.openai.request_schemas import CompletionRequest
from service.results.text_score import TextScore
from service.text.tokenized_text import TokenizedText


@dataclass(slots=True)
class Prompt:
    """A tokenized prompt, with its `score` if the response shows it, and with the `state` after it,
    from which all its choices start, if the request generates tokens.
    """

    tokenized: TokenizedText
    score: TextScore | None = None
    state: Floats | None = None


def split_prompts(request: CompletionRequest) -> tuple[list[str], list[list[int]]]:
    """Return the prompts as texts and as lists of ids; one of the two is empty."""
    prompt = request.prompt
    if isinstance(prompt, str):
        return [prompt], []
    ids = [entry for entry in prompt if isinstance(entry, int)]
    if ids or not prompt:
        return [], [ids]
    texts = [entry for entry in prompt if isinstance(entry, str)]
    return texts, [entry for entry in prompt if isinstance(entry, list)]
