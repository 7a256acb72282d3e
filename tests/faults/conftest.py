"""Faults that tests cause in real processes; `make faults` runs the long forms.

During each fault other clients send requests with known responses. Every response must be correct,
and the service must recover by itself after the fault.
"""

import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import pytest

from service.settings import STARTER_BUNDLE
from tests.support.api_client import Json
from tests.support.concurrent_clients import Answers, reference
from tests.support.server_process import SECONDS, http_client, running, score, stop

LONG = os.environ.get("FAULTS") == "long"
# No request may be rejected for its wait, so that every rejection comes from the fault.
PATIENT = ("--max-queue-seconds", "60")


@dataclass
class Service:
    process: "Popen[str]"
    port: int
    answers: Answers = field(default_factory=list)
    scored: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.answers = reference(self.port)
        self.scored = score(self.port)

    @property
    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def metric(self, name: str) -> float:
        with http_client(self.port) as http:
            page = http.get("/metrics").text
        found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def is_as_before(self) -> bool:
        """Return whether the service is ready with an empty queue and the same responses.

        Earlier requests may still take a while.
        """
        end = time.monotonic() + SECONDS
        while not self._is_idle():
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return score(self.port) == self.scored

    def _is_idle(self) -> bool:
        with http_client(self.port) as http:
            ready = http.get("/health/ready").status_code == 200
        lanes = ("interactive", "bulk")
        return ready and not any(
            self.metric(f'tiedlm_queue_tokens{{lane="{lane}"}}') for lane in lanes
        )


@pytest.fixture
def fault_seconds() -> float:
    """Return the duration of a fault."""
    return 60.0 if LONG else 3.0


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Yield one process for all faults of a module; it must survive each of them."""
    flags = (*PATIENT, "--client-timeout", "4", "--drain-seconds", "0")
    with running(STARTER_BUNDLE, *flags) as (process, port):
        yield Service(process, port)
        assert process.poll() is None
        stop(process)
