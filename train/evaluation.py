"""Perplexity of a split, by two definitions. The exporter uses them for its figures, too.

*Carried*: the split is one long text. Its first token is predicted from `<eos>`, and the state is
carried from its first token to its last. *By sentence*: each line starts from the zero state after
`<eos>`, as single sentences are served. Both count every token of the split once and divide the
total by the number of tokens.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from train.data.corpus import Ids
from train.model.loss import sparse_cross_entropy
from train.model.lstm import TiedLSTM, detach_state
from train.runtime.progress import Progress

BATCH_TOKENS = 512
BATCH_SENTENCES = 32
STEPS = 512
LARGEST_EXPONENT = 700  # exp of more overflows
# Validation while training reads parallel streams, because that is fast. Every stream begins with
# the zero state, which raises the perplexity of short streams.
PARALLEL_STREAMS = 16
PARALLEL_STREAM_TOKENS = 1000


@dataclass(frozen=True)
class Total:
    """Cross-entropy in nats, summed over `tokens` predicted tokens."""

    nats: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp of the mean, or infinity where that overflows."""
        mean = self.nats / self.tokens
        return math.exp(mean) if mean < LARGEST_EXPONENT else math.inf

    def bits_per_byte(self, size: int) -> float:
        """Return bits per byte of a text of `size` bytes, line ends included."""
        return self.nats / math.log(2) / size


def sentence_bounds(ids: NDArray[np.integer], end: int) -> list[tuple[int, int]]:
    """Return where each sentence of ids (N,) begins and ends, the shortest sentence first.

    A sentence ends with the id `end` of `<eos>`, which is a part of it. The last one may lack it.
    """
    ends = np.flatnonzero(ids == end) + 1
    bounds = np.unique(np.concatenate([[0], ends, [len(ids)]]))
    order = np.argsort(np.diff(bounds), kind="stable")
    return [(int(bounds[index]), int(bounds[index + 1])) for index in order]


def evaluate_in_parallel(model: TiedLSTM, ids: Ids, end: int) -> Total:
    """Return the carried total of ids (N,), read as up to 16 parallel streams."""
    return evaluate(model, ids, end, min(PARALLEL_STREAMS, len(ids) // PARALLEL_STREAM_TOKENS) or 1)


@torch.no_grad()
def evaluate(model: TiedLSTM, ids: Ids, end: int, streams: int = 1) -> Total:
    """Return the carried total of ids (N,), from the zero state after `<eos>` (id `end`).

    For the ids a b c the pairs are (`<eos>` → a), (a → b), (b → c). With several `streams` the text
    is cut into that number of parts of equal length. They are read in parallel, each from the zero
    state, which is faster and slightly worse at the beginnings of the parts.
    """
    model.eval()
    length = max(1, len(ids) // streams)
    nats, done = 0.0, 0
    with Progress("evaluating", len(ids), "tokens", leave=False) as progress:
        while done < len(ids):
            rows = min(streams, (len(ids) - done) // length) or 1  # the rest is a row of its own
            part = ids[done : done + rows * length].reshape(rows, -1)
            before = np.concatenate([[end if done == 0 else ids[done - 1]], part[:-1, -1]])
            nats += _evaluate_streams(model, part, before, progress)
            done += part.size
    return Total(nats, len(ids))


def _evaluate_streams(model: TiedLSTM, ids: Ids, before: Ids, progress: Progress) -> float:
    """Return the nats of ids (B, N), each stream from the zero state after its id in `before`
    (B,).
    """
    device = model.output_bias.device
    state = model.zero_state(len(ids))
    previous = torch.from_numpy(before.astype(np.int64))[None].to(device)  # (1, B)
    steps = max(1, BATCH_TOKENS // len(ids))
    nats = 0.0
    for begin in range(0, ids.shape[1], steps):
        chunk = ids[:, begin : begin + steps].astype(np.int64)
        targets = torch.from_numpy(chunk).t().to(device)  # (T, B)
        hidden, state = model(torch.cat([previous, targets[:-1]]), state)
        state = detach_state(state)
        nats += sparse_cross_entropy(model.logits(hidden), targets).double().sum().item()
        previous = targets[-1:]
        progress.update(targets.numel())
    return nats


@torch.no_grad()
def evaluate_by_sentence(model: TiedLSTM, ids: Ids, end: int) -> Total:
    """Return the total of the sentences of ids (N,), each from the zero state after `<eos>`.

    For a b `<eos>` the pairs are (`<eos>` → a), (a → b), (b → `<eos>`).
    """
    model.eval()
    bounds = sentence_bounds(ids, end)
    nats = 0.0
    for begin in range(0, len(bounds), BATCH_SENTENCES):
        batch = [ids[start:stop] for start, stop in bounds[begin : begin + BATCH_SENTENCES]]
        nats += _evaluate_sentences(model, batch, end)
    return Total(nats, len(ids))


def _evaluate_sentences(model: TiedLSTM, sentences: list[Ids], end: int) -> float:
    """Return the nats of sentences, the shortest first. Long ones are read in chunks of STEPS."""
    device = model.output_bias.device
    state = model.zero_state(len(sentences))
    previous = torch.full((1, len(sentences)), end, device=device)
    begin, nats = 0, 0.0
    while True:
        chunks = [torch.from_numpy(s[begin : begin + STEPS].astype(np.int64)) for s in sentences]
        targets = torch.nn.utils.rnn.pad_sequence(chunks, padding_value=-1).to(device)  # (T, B)
        hidden, state = model(torch.cat([previous, targets[:-1].clamp(min=0)]), state)
        real = targets >= 0
        blocks = (x[real].split(BATCH_TOKENS) for x in (hidden, targets))
        for rows, target_ids in zip(*blocks, strict=True):  # all logits at once would fill memory
            nats += sparse_cross_entropy(model.logits(rows), target_ids).double().sum().item()
        begin += STEPS
        finished = sum(len(sentence) <= begin for sentence in sentences)
        if finished == len(sentences):
            return nats
        sentences, previous = sentences[finished:], targets[-1:, finished:]
        state = [(h[:, finished:], c[:, finished:]) for h, c in state]
