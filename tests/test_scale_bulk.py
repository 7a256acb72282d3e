"""The short form of `make scale-bulk`: four times the text takes no more memory."""

from pathlib import Path

from tests.scale.bulk import LARGEST_GROWTH_BYTES, score


def test_memory_of_a_job_does_not_grow_with_its_input(tmp_path: Path) -> None:
    small, large = (score(tmp_path, megabytes) for megabytes in (1.5, 6))
    assert large.memory.anonymous - small.memory.anonymous < LARGEST_GROWTH_BYTES
