"""Perplexity of a split, counted in the two ways that users mean.

*Carried*: the split is one long text, its first token predicted from `<eos>`, the state carried
from its first token to its last. *By sentence*: each line starts anew from a zero state after
`<eos>`, as single sentences are served. Both count every token of the split once and divide the
total by their number.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from train.data.corpus import Ids
from train.model.loss import sparse_cross_entropy
from train.model.lstm import TiedLSTM, detach
from train.runtime.progress import Progress

TOKENS_AT_A_TIME = 512
SENTENCES_AT_A_TIME = 32
STEPS = 512


@dataclass(frozen=True)
class Total:
    """Cross-entropy summed over `tokens` predicted tokens."""

    nats: float
    tokens: int

    @property
    def perplexity(self) -> float:
        mean = self.nats / self.tokens
        return math.exp(mean) if mean < 700 else math.inf


@torch.no_grad()
def evaluate(model: TiedLSTM, ids: Ids, end: int, streams: int = 1) -> Total:
    """Total over ids (N,) read as one text from a zero state after `<eos>` (id `end`).

    For the ids a b c the pairs are (`<eos>` → a), (a → b), (b → c). With several `streams` the text
    is cut into as many that are read in parallel, each from the zero state: about as many times
    faster, and a little worse at their beginnings.
    """
    model.eval()
    length = max(1, len(ids) // streams)
    nats, read = 0.0, 0
    with Progress("evaluating", len(ids), "tokens", leave=False) as progress:
        while read < len(ids):
            count = min(streams, (len(ids) - read) // length) or 1  # what is left over goes alone
            part = ids[read : read + count * length].reshape(count, -1)
            before = np.concatenate([[end if read == 0 else ids[read - 1]], part[:-1, -1]])
            nats += _evaluate_streams(model, part, before, progress)
            read += part.size
    return Total(nats, len(ids))


def _evaluate_streams(model: TiedLSTM, ids: Ids, before: Ids, progress: Progress) -> float:
    """Nats of ids (B, N), each stream from the zero state after the id (B,) before it."""
    device = model.output_bias.device
    state = model.zero_state(len(ids))
    previous = torch.from_numpy(before.astype(np.int64))[None].to(device)  # (1, B)
    steps = max(1, TOKENS_AT_A_TIME // len(ids))
    nats = 0.0
    for begin in range(0, ids.shape[1], steps):
        piece = ids[:, begin : begin + steps].astype(np.int64)
        targets = torch.from_numpy(piece).t().to(device)  # (T, B)
        hidden, state = model(torch.cat([previous, targets[:-1]]), state)
        state = detach(state)
        nats += sparse_cross_entropy(model.logits(hidden), targets).double().sum().item()
        previous = targets[-1:]
        progress.update(targets.numel())
    return nats


@torch.no_grad()
def evaluate_by_sentence(model: TiedLSTM, ids: Ids, end: int) -> Total:
    """Total over the sentences of ids (N,), each from a zero state after `<eos>`.

    For a b `<eos>` the pairs are (`<eos>` → a), (a → b), (b → `<eos>`).
    """
    model.eval()
    ends = np.flatnonzero(ids == end) + 1
    bounds = np.unique(np.concatenate([[0], ends, [len(ids)]]))
    by_length = np.argsort(np.diff(bounds), kind="stable")
    nats = 0.0
    for begin in range(0, len(by_length), SENTENCES_AT_A_TIME):
        group = by_length[begin : begin + SENTENCES_AT_A_TIME]
        nats += _evaluate_sentences(model, [ids[bounds[i] : bounds[i + 1]] for i in group], end)
    return Total(nats, len(ids))


def _evaluate_sentences(model: TiedLSTM, sentences: list[Ids], end: int) -> float:
    """Nats of sentences, the shortest first; those that go on are read piece by piece."""
    device = model.output_bias.device
    state = model.zero_state(len(sentences))
    previous = torch.full((1, len(sentences)), end, device=device)
    begin, nats = 0, 0.0
    while True:
        pieces = [torch.from_numpy(s[begin : begin + STEPS].astype(np.int64)) for s in sentences]
        targets = torch.nn.utils.rnn.pad_sequence(pieces, padding_value=-1).to(device)  # (T, B)
        hidden, state = model(torch.cat([previous, targets[:-1].clamp(min=0)]), state)
        real = targets >= 0
        blocks = (x[real].split(TOKENS_AT_A_TIME) for x in (hidden, targets))
        for rows, wanted in zip(*blocks, strict=True):  # all logits at once would fill memory
            nats += sparse_cross_entropy(model.logits(rows), wanted).double().sum().item()
        begin += STEPS
        first = sum(len(sentence) <= begin for sentence in sentences)
        if first == len(sentences):
            return nats
        sentences, previous = sentences[first:], targets[-1:, first:]
        state = [(h[:, first:], c[:, first:]) for h, c in state]
