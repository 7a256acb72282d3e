"""Prediction: the distributions and the states after contexts."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from service.arrays import Floats, Ids
from service.inference.context_encoder import ContextEncoder
from service.limits import check_token_count
from service.results.text_scorer import NO_IDS, context_ids
from service.text.tokenized_text import TokenizedText
from service.text.tokenizer import Tokenizer

T = TypeVar("T")


class Predictor:
    """Predictor of the tokens after a context or a state."""

    def __init__(
        self, tokenizer: Tokenizer, contexts: ContextEncoder, zero_state: Floats, max_tokens: int
    ) -> None:
        """`zero_state` (S,) is that of a text's start; a request may hold `max_tokens`."""
        self._contexts = contexts
        self._zero_state = zero_state
        self._max_tokens = max_tokens
        self._end = np.array([tokenizer.end_id], np.int64)

    async def predict(
        self,
        ids: Ids,
        function: Callable[[Floats], T],
        state: Floats | None = None,
        *,
        bos: bool = True,
        admitted: bool = False,
    ) -> tuple[T, Floats]:
        """Return `function` of the log-probabilities (V,) after `ids` (n,), and the state (S,)
        there.

        A worker thread calls `function`, so that the distribution never leaves it. Only a request
        that has not been `admitted` raises Overloaded.
        """
        prefix = self._end if bos and state is None else NO_IDS
        context = np.concatenate([prefix, ids])
        check_token_count(len(context), self._max_tokens)
        return await self._contexts.distribution_after(context, function, state, admitted)

    async def states_after(self, texts: Sequence[TokenizedText], *, bos: bool) -> list[Floats]:
        """Return the state (S,) after each text. Equal texts are encoded once."""
        contexts = context_ids(self._end if bos else NO_IDS, texts)
        check_token_count(sum(map(len, contexts)), self._max_tokens)
        states = await self._contexts.states_after(contexts, "interactive")
        return [self._zero_state if state is None else state for state in states]
