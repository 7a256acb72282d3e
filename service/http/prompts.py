"""A completion request's prompts: counted, read, and scored where the answer shows it."""

from dataclasses import dataclass

from service.errors import InputTooLong
from service.http.schemas.openai import CompletionRequest
from service.language_model import LanguageModel
from service.reader import Passage
from service.text_score import TextScore


@dataclass(slots=True)
class Prompt:
    """A passage, and whether the prefix token stands before it: before texts, never before ids."""

    passage: Passage
    bos: bool
    score: TextScore | None = None


async def read_prompts(request: CompletionRequest, model: LanguageModel) -> list[Prompt]:
    """Raises InputTooLong for too many, UnknownToken for an id out of range."""
    texts, lists = _entries(request)
    _check_count(len(texts) + len(lists), model)
    if texts:
        return [Prompt(passage, bos=True) for passage in await model.read.texts(texts)]
    if lists == [request.prompt]:
        return [Prompt(await model.read.ids(lists[0], "prompt"), bos=False)]
    return [Prompt(passage, bos=False) for passage in await model.read.id_lists(lists, "prompt")]


def _entries(request: CompletionRequest) -> tuple[list[str], list[list[int]]]:
    """The prompts one by one, all texts or all ids: one may stand alone."""
    prompt = request.prompt
    if isinstance(prompt, str):
        return [prompt], []
    ids = [entry for entry in prompt if isinstance(entry, int)]
    if ids or not prompt:
        return [], [ids]
    texts = [entry for entry in prompt if isinstance(entry, str)]
    return texts, [entry for entry in prompt if isinstance(entry, list)]


def _check_count(count: int, model: LanguageModel) -> None:
    limit = model.settings.max_texts
    if count > limit:
        raise InputTooLong(f"{count} prompts; at most {limit} are allowed", "prompt")


async def score_prompts(
    request: CompletionRequest, model: LanguageModel, prompts: list[Prompt]
) -> None:
    """Give the prompts their scores, where the answer shows them."""
    shown = request.echo and request.logprobs is not None
    if not shown and request.prompt_logprobs is None:
        return
    top = max(request.logprobs or 0, request.prompt_logprobs or 0)
    for bos in (True, False):
        alike = [prompt for prompt in prompts if prompt.bos == bos]
        if not alike:
            continue
        scores = await model.score(
            [prompt.passage for prompt in alike],
            bos=bos,
            eos=False,
            details=request.prompt_logprobs is not None,
            top=top,
        )
        for prompt, score in zip(alike, scores, strict=True):
            prompt.score = score
