"""Faults that are made on purpose, against real processes. `make faults` runs the long forms.

In every one of them a crowd of other clients goes on asking what is known: what they get must be
right, and the service must be as before when the fault is over, by itself.
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
# What clients may wait is no fault here: only what is tried on purpose may be refused.
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
        """Return whether it is ready, nothing waits any more and its answer is the same. What it
        was given before may take a while yet.
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
    """How long a fault lasts."""
    return 60.0 if LONG else 3.0


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """One process for all the faults of a module, which it must survive one after another."""
    flags = (*PATIENT, "--client-timeout", "4", "--drain-seconds", "0")
    with running(STARTER_BUNDLE, *flags) as (process, port):
        yield Service(process, port)
        assert process.poll() is None
        stop(process)
