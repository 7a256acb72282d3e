"""The prefix tree holds every shared prefix of the hypotheses once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.inference.prefix_tree import Edge, prefix_tree

hypotheses = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=12)


def arrays(lists: list[list[int]]) -> list[np.ndarray]:
    return [np.array(ids, np.int64) for ids in lists]


def paths(roots: list[Edge]) -> list[tuple[Edge, tuple[int, ...]]]:
    """Return every edge with the ids before it."""
    found = []
    waiting: list[tuple[Edge, tuple[int, ...]]] = [(edge, ()) for edge in roots]
    while waiting:
        edge, before = waiting.pop()
        found.append((edge, before))
        waiting += [(child, (*before, *edge.ids.tolist())) for child in edge.children]
    return found


@given(hypotheses)
def test_every_distinct_prefix_stands_once(lists: list[list[int]]) -> None:
    distinct = {tuple(ids[:end]) for ids in lists for end in range(1, len(ids) + 1)}
    found = [
        (*before, *edge.ids.tolist()[: at + 1])
        for edge, before in paths(prefix_tree(arrays(lists)))
        for at in range(len(edge.ids))
    ]
    assert sorted(found) == sorted(distinct)


@given(hypotheses)
def test_the_edges_of_a_hypothesis_spell_it(lists: list[list[int]]) -> None:
    edges = paths(prefix_tree(arrays(lists)))
    for index, ids in enumerate(lists):
        own = sorted(
            ((len(before), edge.ids.tolist()) for edge, before in edges if index in edge.members)
        )
        assert [token for _, part in own for token in part] == ids


@given(hypotheses)
def test_edges_branch_at_different_ids(lists: list[list[int]]) -> None:
    roots = prefix_tree(arrays(lists))
    for siblings in [roots, *(edge.children for edge, _ in paths(roots))]:
        first = [int(edge.ids[0]) for edge in siblings]
        assert len(first) == len(set(first))


def test_a_deep_tree_needs_no_recursion() -> None:
    lists = [[7] * count for count in range(1, 3001)]
    assert len(paths(prefix_tree(arrays(lists)))) == 3000
