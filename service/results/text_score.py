"""The scores of texts: their tokens' log-probabilities, and their totals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.arrays import Floats, Ids
from service.inference.engine import Decoded
from service.scoring import Totals
from service.text.tokenized_text import TokenizedText


@dataclass(frozen=True, slots=True)
class TextScore:
    """The scores of a text's n tokens, including those of a scored `<eos>`.

    `logprobs` are natural. A first token without a prefix has no score: its entry is NaN, and
    `decoded` lacks it. `starts` and `ends` are offsets into `text` in code points; they are None if
    the request gave ids. With `end_added` the last token is the `<eos>` after the text. `state` is
    the recurrent state (S,) after the text, if requested.
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
        """The number of tokens without a score: 0, or 1 for the first token."""
        return len(self.ids) - len(self.decoded.logprobs)


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


def text_score(
    text: TokenizedText, ids: Ids, decoded: Decoded, unknown_id: int | None, state: Floats | None
) -> TextScore:
    """Combine a text, the ids (n,) that were scored for it, and their decoded figures."""
    scored = decoded.logprobs.astype(np.float64)
    unscored = len(ids) - len(scored)
    logprobs = np.concatenate([np.full(unscored, np.nan), scored]) if unscored else scored
    oov = ids == (-1 if unknown_id is None else unknown_id)
    starts, ends = text.starts, text.ends
    end_added = len(ids) > len(text.ids)
    if starts is not None and ends is not None and end_added:
        starts, ends = [*starts, len(text.text)], [*ends, len(text.text)]
    # Denominators leave out the characters of an unscored token. `<eos>` alone has none.
    counted = text.text[text.first_end :] if unscored else text.text
    totals = Totals(
        nats=float((-scored).sum()),
        tokens=len(scored),
        bytes=len(counted.encode()),
        characters=len(counted),
        words=len(counted.split()) if unscored else text.words,
    )
    unknown = oov[unscored:]
    if unknown.any():
        totals.oov_nats = float((-scored[unknown]).sum())
        totals.oov_tokens = int(unknown.sum())
    return TextScore(text.text, ids, starts, ends, oov, logprobs, totals, decoded, state, end_added)
