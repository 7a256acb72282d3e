"""The short form of `make scale-bulk`: seven times the text takes no more memory."""

from pathlib import Path

from tests.programs.scale.bulk import score, smallest_bundle

MEGABYTES = (4, 28)
# Half of what the text alone would be.
LARGEST_GROWTH_BYTES = 12_000_000


def test_memory_of_a_job_does_not_grow_with_its_input(tmp_path: Path) -> None:
    bundle = ("--bundle", str(smallest_bundle(tmp_path)))
    small, large = (score(tmp_path, megabytes, *bundle) for megabytes in MEGABYTES)
    assert large.memory.anonymous - small.memory.anonymous < LARGEST_GROWTH_BYTES
