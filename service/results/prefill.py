"""Prefill: encode the prompts of a completion before tokens are generated after them."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.arrays import Floats
from service.results.options import PrefillOptions
from service.results.predictor import Predictor
from service.results.text_score import TextScore
from service.results.text_scorer import TextScorer
from service.text.tokenized_text import TokenizedText


@dataclass(frozen=True, slots=True)
class Prefilled:
    """The score of a prompt and the state (S,) after it; each is None unless requested."""

    score: TextScore | None = None
    state: Floats | None = None


async def prefill(
    prompts: Sequence[TokenizedText],
    options: PrefillOptions,
    scorer: TextScorer,
    predictor: Predictor,
) -> list[Prefilled]:
    """Encode each distinct prompt once. Return its score and the state after it, as requested."""
    if options.score:
        wanted, admitted = options.score_options, options.admitted
        scores = await scorer.score(prompts, wanted, None, None, admitted=admitted)
        return [Prefilled(score, score.state) for score in scores]
    if options.return_state:
        states = await predictor.states_after(prompts, bos=options.bos)
        return [Prefilled(state=state) for state in states]
    return [Prefilled() for _ in prompts]
