"""Scoring of hypotheses that share prefixes: every shared prefix runs once.

The ids of the hypotheses make a prefix tree. Its edges are the ids between two branchings. All
edges of one depth run in one batch, each from the state in which its parent ended.

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
    task: InferenceTask | None = None

    def start_from(self, state: Floats) -> InferenceTask:
        """Return the task that runs this edge after `state` (S,). The last id is an input only if
        an edge follows.
        """
        inputs = self.ids if self.children else self.ids[:-1]
        targets = np.append(self.ids[1:], UNSCORED)[: len(inputs)]
        self.task = InferenceTask(inputs, targets, state, first_target=int(self.ids[0]))
        return self.task


def prefix_tree(hypotheses: Sequence[Ids]) -> list[Edge]:
    """Return the edges from the root. Every hypothesis needs at least one id."""
    order = sorted(range(len(hypotheses)), key=lambda index: hypotheses[index].tolist())
    roots: list[Edge] = []
    open_groups = [(roots, order, 0)]  # not recursive: a tree may be as deep as its longest text
    while open_groups:
        edges, members, depth = open_groups.pop()
        for group in _group_by_id(hypotheses, members, depth):
            # The group is sorted, so that all members share the ids that the first and last share.
            first, last = hypotheses[group[0]], hypotheses[group[-1]]
            stop = depth + _common_prefix(first[depth:], last[depth:])
            edge = Edge(first[depth:stop], group)
            edges.append(edge)
            longer = [index for index in group if len(hypotheses[index]) > stop]
            open_groups.append((edge.children, longer, stop))
    return roots


def _group_by_id(hypotheses: Sequence[Ids], members: list[int], depth: int) -> list[list[int]]:
    """Return the sorted members in groups that have the same id at `depth`."""
    return [list(group) for _, group in groupby(members, key=lambda m: int(hypotheses[m][depth]))]


def _common_prefix(left: Ids, right: Ids) -> int:
    """Return the length of the longest common prefix."""
    length = min(len(left), len(right))
    different = np.flatnonzero(left[:length] != right[:length])
    return int(different[0]) if len(different) else length


async def score_prefix_tree(
    hypotheses: Sequence[Ids], start: Floats, runner: EngineRunner
) -> list[Floats]:
    """Return the log-probabilities (n,) of the n ids of each hypothesis after the state `start`.

    Raises what `EngineRunner.run` raises, except Overloaded.
    """
    roots = prefix_tree(hypotheses)
    level = [(edge, start) for edge in roots]
    while level:
        tasks = [edge.start_from(state) for edge, state in level]
        await runner.run(tasks, "bulk", admitted=True)
        level = [
            (child, task.state)
            for (edge, _), task in zip(level, tasks, strict=True)
            for child in edge.children
        ]
    return collect_logprobs(roots, len(hypotheses))


def collect_logprobs(roots: list[Edge], count: int) -> list[Floats]:
    """Return the log-probabilities of each of `count` hypotheses from the edges that have run."""
    parts: list[list[Floats]] = [[] for _ in range(count)]
    level = roots
    while level:
        for edge in level:
            assert edge.task is not None
            logprobs = edge.task.decoded().logprobs
            for index in edge.members:
                parts[index].append(logprobs)
        level = [child for edge in level for child in edge.children]
    return [np.concatenate(logprobs) for logprobs in parts]
