"""The service as a process with the starter bundle."""

from collections.abc import Iterator

import pytest

from service.settings import STARTER_BUNDLE
from tests.programs.benchmarks.servers import service


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    with service(STARTER_BUNDLE) as server:
        yield f"http://127.0.0.1:{server.port}"
