"""Tests of the end of the process under load, and of the next process at the same port."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen

import pytest

from service.settings import STARTER_BUNDLE
from tests.faults.conftest import LONG, PATIENT
from tests.support.concurrent_clients import ConcurrentClients, reference
from tests.support.server_process import SECONDS, start

TIMES = 10 if LONG else 2
# Errors that a client may see after the process has ended; never a wrong or partial response.
GONE = {"ConnectError", "ReadError", "RemoteProtocolError", "WriteError"}


@contextmanager
def listening_at(port: int) -> Iterator["Popen[str]"]:
    bundle = ("--bundle", str(STARTER_BUNDLE))
    quiet = ("--log-level", "error", "--drain-seconds", "1")
    with start(*bundle, *quiet, *PATIENT, "--port", str(port)) as process:
        try:
            assert process.stdout is not None
            while "listens" not in process.stdout.readline():
                assert process.poll() is None, process.communicate()[1]
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_next_process_gives_the_same_responses(free_port: int, ending: signal.Signals) -> None:
    with listening_at(free_port):
        answers = reference(free_port)
    clients = ConcurrentClients(free_port, answers, clients=8)
    with clients:
        for _ in range(TIMES):
            with listening_at(free_port) as process:
                clients.wait_for(30)
                process.send_signal(ending)
                code = process.wait(SECONDS)
                assert code == (-signal.SIGKILL if ending == signal.SIGKILL else 0)
    assert clients.answered >= 30 * TIMES
    assert clients.wrong == 0
    assert set(clients.failures) <= GONE
