"""One text: what has to be read to score it, its tokens' log-probabilities, and their totals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.arrays import Floats, Ids
from service.inference.engine import Decoded
from service.scoring import Totals
from service.text.request_encoder import TokenizedText


@dataclass(frozen=True, slots=True)
class HypothesisScore:
    """The natural log-probabilities (n,) of a hypothesis' tokens and its `<eos>`, and the number of
    unknown words among them.
    """

    logprobs: NDArray[np.float64]
    oov_count: int

    @property
    def token_count(self) -> int:
        return len(self.logprobs)


@dataclass(frozen=True, slots=True)
class TextScore:
    """Figures of one text's n tokens, the scored `<eos>` included.

    `logprobs` are natural, and NaN for a first token that nothing stands before; what was decoded
    covers the others only. `starts` and `ends` are offsets into `text`, None where ids were given.
    With `end_added` the last token is the `<eos>` after the text, which is no part of the passage.
    `state` is the recurrent state after the text, if it was asked for.
    """

    text: str
    ids: Ids  # (n,)
    starts: list[int] | None
    ends: list[int] | None
    oov: NDArray[np.bool_]  # (n,)
    logprobs: NDArray[np.float64]  # (n,)
    totals: Totals
    decoded: Decoded
    state: Floats | None = None
    end_added: bool = False

    @property
    def unscored(self) -> int:
        """How many tokens at the beginning have no score: 0 or 1."""
        return len(self.ids) - len(self.decoded.logprobs)


@dataclass(frozen=True, slots=True)
class Prefilled:
    """A prompt that was encoded: its score and the state (S,) after it, None if not requested."""

    score: TextScore | None
    state: Floats | None


def text_score(
    passage: TokenizedText, ids: Ids, decoded: Decoded, unknown_id: int | None, state: Floats | None
) -> TextScore:
    """Put together a passage, the ids that were scored for it, and what was decoded of them."""
    scored = decoded.logprobs.astype(np.float64)
    unscored = len(ids) - len(scored)
    logprobs = np.concatenate([np.full(unscored, np.nan), scored]) if unscored else scored
    oov = ids == (-1 if unknown_id is None else unknown_id)
    starts, ends = passage.starts, passage.ends
    end_added = len(ids) > len(passage.ids)
    if starts is not None and ends is not None and end_added:
        starts, ends = [*starts, len(passage.text)], [*ends, len(passage.text)]
    # What an unscored token spans is no denominator either; `<eos>` alone spans nothing.
    counted = passage.text[passage.first_end :] if unscored else passage.text
    totals = Totals(
        nats=float((-scored).sum()),
        tokens=len(scored),
        bytes=len(counted.encode()),
        characters=len(counted),
        words=len(counted.split()) if unscored else passage.words,
    )
    unknown = oov[unscored:]
    if unknown.any():
        totals.oov_nats = float((-scored[unknown]).sum())
        totals.oov_tokens = int(unknown.sum())
    return TextScore(
        passage.text, ids, starts, ends, oov, logprobs, totals, decoded, state, end_added
    )
