"""A completion request's prompts: within the limits, read, and scored where the answer shows it."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.arrays import Floats, Priority
from service.errors import InputTooLong
from service.http.openai.schemas import CompletionRequest
from service.language_model import LanguageModel
from service.limits import BYTES_PER_TOKEN, MAX_TOP_TOKENS
from service.results.text_score import TextScore
from service.text.request_encoder import TokenizedText


@dataclass(slots=True)
class Prompt:
    """A passage; its `score` where the answer shows it, and the `state` after it, from which all
    choices start, where tokens are drawn.
    """

    passage: TokenizedText
    score: TextScore | None = None
    state: Floats | None = None


async def prefill_prompts(request: CompletionRequest, model: LanguageModel) -> list[Prompt]:
    """Tokenize the prompts; give them their scores and states, as far as the answer needs them.

    A request that scores its prompts waits for its turn as one of `/score` does.
    Raises InputTooLong, UnknownToken for an id out of range, and as LanguageModel.score.
    """
    texts, lists = _entries(request)
    _check_choices(request, model, len(texts) + len(lists))
    lane: Priority = "bulk" if _only_scores(request) else "interactive"
    characters = sum(map(len, texts)) or BYTES_PER_TOKEN * sum(map(len, lists))
    async with model.admission.admit(lane, characters, holds_slot=True):
        prompts = await _read_prompts(request, model, texts, lists, lane)
        await _prefill(request, model, prompts)
        return prompts


def _only_scores(request: CompletionRequest) -> bool:
    """True for the requests of evaluation tools, which ask for the prompt's log-probabilities."""
    scores = request.prompt_logprobs is not None or (request.echo and request.logprobs is not None)
    return scores and request.max_tokens <= 1


async def _read_prompts(
    request: CompletionRequest,
    model: LanguageModel,
    texts: list[str],
    lists: list[list[int]],
    lane: Priority,
) -> list[Prompt]:
    if texts:
        passages = await model.encoder.texts(texts, "prompt", lane)
        _check_tokens(request, model, [len(passage.ids) for passage in passages])
    else:
        _check_tokens(request, model, list(map(len, lists)))
        alone = lists == [request.prompt]
        passages = (
            [await model.encoder.ids(lists[0], "prompt", lane)]
            if alone
            else await model.encoder.id_lists(lists, "prompt", lane)
        )
    _check_copies(request, passages, model.settings.max_body_bytes)
    return [Prompt(passage) for passage in passages]


async def _prefill(request: CompletionRequest, model: LanguageModel, prompts: list[Prompt]) -> None:
    """Encode each prompt once, however many choices follow it."""
    passages = [prompt.passage for prompt in prompts]
    prefixed = passages[0].starts is not None  # texts, never ids; all are of one kind
    draws = request.max_tokens > 0
    if request.prompt_logprobs is not None or (request.echo and request.logprobs is not None):
        scores = await model.score(
            passages,
            bos=prefixed,
            eos=False,
            details=request.prompt_logprobs is not None,
            top=_top(request),
            return_state=draws,
            admitted=_only_scores(request),
        )
        for prompt, score in zip(prompts, scores, strict=True):
            prompt.score, prompt.state = score, score.state
    elif draws:
        states = await model.states_after(passages, bos=prefixed)
        for prompt, state in zip(prompts, states, strict=True):
            prompt.state = state


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


def _top(request: CompletionRequest) -> int:
    return max(request.logprobs or 0, request.prompt_logprobs or 0)


def _check_choices(request: CompletionRequest, model: LanguageModel, prompts: int) -> None:
    limit = model.settings.max_texts
    if prompts > limit:
        raise InputTooLong(f"{prompts} prompts; at most {limit} are allowed", "prompt")
    choices = prompts * request.choices
    if choices > limit:
        raise InputTooLong(
            f"{choices} choices over all prompts; at most {limit} are allowed",
            "n" if request.best_of is None else "best_of",
        )
    tokens, limit = choices * request.max_tokens, model.settings.max_request_tokens
    if tokens > limit:
        raise InputTooLong(
            f"{tokens} tokens to generate over all choices; at most {limit} are allowed",
            "max_tokens",
        )


def _check_tokens(request: CompletionRequest, model: LanguageModel, lengths: list[int]) -> None:
    """Of the prompts, each as often as the answer tells of it, and of all that is generated. A
    prompt that is only read has no alternatives.
    """
    generated = len(lengths) * request.choices * request.max_tokens
    told = request.n if request.echo or request.prompt_logprobs is not None else 0
    tokens, limit = max(1, told) * sum(lengths) + generated, model.settings.max_request_tokens
    if tokens > limit:
        raise InputTooLong(
            f"the request holds {tokens} tokens, those to generate too, and prompts as often as "
            f"choices tell of them; at most {limit} are allowed",
            "prompt",
        )
    top = _top(request)
    alternatives = (told * sum(lengths) + generated) * (1 + top)
    if top and alternatives > MAX_TOP_TOKENS:
        raise InputTooLong(
            f"tokens × (1 + {top}) in the answer is {alternatives}; "
            f"at most {MAX_TOP_TOKENS} is allowed",
            "logprobs" if request.logprobs == top else "prompt_logprobs",
        )


def _check_copies(
    request: CompletionRequest, passages: Iterable[TokenizedText], limit: int
) -> None:
    """Of texts a token may have any length, and white space none: what choices repeat is bounded by
    what a body may hold.
    """
    if not request.echo or request.n == 1:
        return
    repeated = (request.n - 1) * sum(len(passage.text.encode()) for passage in passages)
    if repeated > limit:
        raise InputTooLong(
            f"the choices repeat {repeated} bytes of prompts; at most {limit} are allowed", "n"
        )
