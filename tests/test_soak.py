"""Test of some seconds of mixed load; `make soak` is the long form."""

from service.settings import STARTER_BUNDLE
from tests.programs.benchmarks.servers import service
from tests.programs.soak.__main__ import soak


def test_no_response_changes_under_mixed_load() -> None:
    with service(STARTER_BUNDLE) as server:
        samples, requests, wrong = soak(server, seconds=10, clients=4)
    assert requests > 50
    assert wrong == 0
    assert samples
