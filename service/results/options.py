"""Options of the use cases of `LanguageModel`: what to compute, as immutable values."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.arrays import CacheSettings
from service.text.soft_targets import Distributions
from service.text.tokenized_text import Candidate


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """Options of `LanguageModel.score`.

    `bos`: start each text from the prefix token `<eos>`; without effect after a state.
    `eos`: score the end of each text, `<eos>`, too.
    `details`: compute ranks and entropies.
    `top`: the number of alternatives at each token.
    `targets`: soft targets; for each text and each of its scored positions, a distribution over
    words.
    `cache`: mix a neural cache of the text's own words into its probabilities.
    `return_state`: keep the recurrent state after each text.
    """

    bos: bool = True
    eos: bool = True
    details: bool = False
    top: int = 0
    targets: Sequence[Distributions] | None = None
    cache: CacheSettings | None = None
    return_state: bool = False


DEFAULT_SCORE_OPTIONS = ScoreOptions()


@dataclass(frozen=True, slots=True)
class NextTokenOptions:
    """Options of `LanguageModel.next_token`.

    `bos`: start from the prefix token `<eos>`; without effect after a state.
    `top_k`: the number of words to list, most probable first.
    `temperature`: divides the logits.
    `exclude_special`: leave out `<unk>` and `<eos>`, and renormalise.
    `prefix`: keep only words that start with it, and renormalise.
    `candidates`: words to report in any case, from `RequestEncoder.find_candidates`.
    """

    top_k: int
    bos: bool = True
    temperature: float = 1.0
    exclude_special: bool = False
    prefix: str | None = None
    candidates: Sequence[Candidate] = ()


@dataclass(frozen=True, slots=True)
class PrefillOptions:
    """Options of `LanguageModel.prefill`.

    `bos`: start each prompt from the prefix token `<eos>`.
    `score`: compute the log-probabilities of the prompts' tokens, with ranks if `details`, and with
    `top` alternatives each.
    `return_state`: return the state after each prompt, from which `generate` continues.
    `admitted`: the prompts have waited in the line of `Admission`, so that they are never refused
    because the queue is full.
    """

    bos: bool = True
    score: bool = False
    details: bool = False
    top: int = 0
    return_state: bool = True
    admitted: bool = False

    @property
    def score_options(self) -> ScoreOptions:
        return ScoreOptions(
            bos=self.bos,
            eos=False,
            details=self.details,
            top=self.top,
            return_state=self.return_state,
        )


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """Options of `LanguageModel.generate`.

    `temperature`: 0 takes the most probable token; otherwise it divides the logits.
    `top_p`: draw from the fewest most probable tokens whose probabilities sum to it (nucleus
    sampling, Holtzman et al. 2019).
    `top`: the number of alternatives to list with each token.
    `seed`: the same seed draws the same tokens; None draws others each time.
    `stop_at_end`: a drawn `<eos>` is the last token.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top: int = 0
    seed: Sequence[int] | None = None
    stop_at_end: bool = True
