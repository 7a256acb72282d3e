"""Test that seven times the text takes no more memory; `make scale-bulk` is the long form."""

from pathlib import Path

from tests.programs.scale.bulk import score, smallest_bundle

MEGABYTES = (4, 28)
# Half the size of the text.
LARGEST_GROWTH_BYTES = 12_000_000


def test_the_memory_of_a_job_stays_flat(tmp_path: Path) -> None:
    bundle = ("--bundle", str(smallest_bundle(tmp_path)))
    small, large = (score(tmp_path, megabytes, *bundle) for megabytes in MEGABYTES)
    assert large.memory.anonymous - small.memory.anonymous < LARGEST_GROWTH_BYTES
