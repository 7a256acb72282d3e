"""Scoring many hypotheses that begin alike: every shared beginning is read once.

The hypotheses' ids make a prefix tree. Its edges are the runs of ids between two branchings; all
edges of one depth are read together, each from the state in which its parent ended.

    the cat sat <eos>           the ─┬─ cat sat <eos>
    the dog sat <eos>                └─ dog ─┬─ sat <eos>
    the dog ran <eos>                        └─ ran <eos>
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from service.arrays import Floats, Ids
from service.inference.engine_runner import EngineRunner
from service.inference.task import UNSCORED, InferenceTask


@dataclass(slots=True)
class Edge:
    """Ids between two branchings, and the hypotheses (by index) that pass through them."""

    ids: Ids
    members: list[int]
    children: "list[Edge]" = field(default_factory=list)
    reading: InferenceTask | None = None

    def read_from(self, state: Floats) -> InferenceTask:
        """What reads this edge after `state`; its last id too if an edge follows."""
        inputs = self.ids if self.children else self.ids[:-1]
        targets = np.append(self.ids[1:], UNSCORED)[: len(inputs)]
        self.reading = InferenceTask(inputs, targets, state, first_target=int(self.ids[0]))
        return self.reading


def prefix_tree(hypotheses: Sequence[Ids]) -> list[Edge]:
    """The edges from the root. Every hypothesis needs at least one id."""
    order = sorted(range(len(hypotheses)), key=lambda index: hypotheses[index].tolist())
    roots: list[Edge] = []
    open_groups = [(roots, order, 0)]  # not recursive: a tree may be as deep as its longest text
    while open_groups:
        edges, members, depth = open_groups.pop()
        for group in _groups(hypotheses, members, depth):
            # Sorted, so that what the first and the last share, all share.
            first, last = hypotheses[group[0]], hypotheses[group[-1]]
            stop = depth + _common(first[depth:], last[depth:])
            edge = Edge(first[depth:stop], group)
            edges.append(edge)
            longer = [index for index in group if len(hypotheses[index]) > stop]
            open_groups.append((edge.children, longer, stop))
    return roots


def _groups(hypotheses: Sequence[Ids], members: list[int], depth: int) -> list[list[int]]:
    """Sorted members with the same id at `depth`, together."""
    return [list(group) for _, group in groupby(members, key=lambda m: int(hypotheses[m][depth]))]


def _common(left: Ids, right: Ids) -> int:
    """How many ids two arrays begin with alike."""
    length = min(len(left), len(right))
    different = np.flatnonzero(left[:length] != right[:length])
    return int(different[0]) if len(different) else length


async def score_prefix_tree(
    hypotheses: Sequence[Ids], start: Floats, runner: EngineRunner
) -> list[Floats]:
    """Return the log-probabilities of each hypothesis' ids after the state `start`.

    Raises what `EngineRunner.run` raises, except Overloaded.
    """
    roots = prefix_tree(hypotheses)
    level = [(edge, start) for edge in roots]
    while level:
        readings = [edge.read_from(state) for edge, state in level]
        await runner.run(readings, "bulk", admitted=True)
        level = [
            (child, reading.state)
            for (edge, _), reading in zip(level, readings, strict=True)
            for child in edge.children
        ]
    return collect(roots, len(hypotheses))


def collect(roots: list[Edge], count: int) -> list[Floats]:
    """Log-probabilities of each hypothesis' ids, in order, from edges that were read."""
    parts: list[list[Floats]] = [[] for _ in range(count)]
    level = roots
    while level:
        for edge in level:
            assert edge.reading is not None
            logprobs = edge.reading.decoded().logprobs
            for index in edge.members:
                parts[index].append(logprobs)
        level = [child for edge in level for child in edge.children]
    return [np.concatenate(logprobs) for logprobs in parts]
