"""Short runs of the programs that take minutes: `make portability`, `soak` and `scale-bulk`."""

import shutil
from pathlib import Path

import pytest

from service.settings import STARTER_BUNDLE
from tests.programs.benchmarks.servers import service
from tests.programs.portability.__main__ import EMULATOR, LARGEST_DIFFERENCE, difference
from tests.programs.scale.bulk import score, smallest_bundle
from tests.programs.soak.__main__ import soak

MEGABYTES = (4, 28)
MAX_GROWTH_BYTES = 12_000_000  # half the size of the additional text


@pytest.mark.skipif(shutil.which(EMULATOR) is None, reason=f"NOT RUN: {EMULATOR} is not installed")
def test_an_older_processor_gives_the_same_score() -> None:
    largest, tokens = difference(STARTER_BUNDLE, 1)
    assert tokens > 10
    assert largest <= LARGEST_DIFFERENCE


def test_no_response_changes_under_mixed_load() -> None:
    with service(STARTER_BUNDLE) as server:
        samples, requests, wrong = soak(server, seconds=10, clients=4)
    assert requests > 50
    assert wrong == 0
    assert samples


def test_the_memory_of_a_bulk_job_stays_flat(tmp_path: Path) -> None:
    bundle = ("--bundle", str(smallest_bundle(tmp_path)))
    small, large = (score(tmp_path, megabytes, *bundle) for megabytes in MEGABYTES)
    assert large.memory.anonymous - small.memory.anonymous < MAX_GROWTH_BYTES
