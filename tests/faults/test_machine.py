"""Tests of a faulty machine: a full disk, no file descriptors, a clock that jumps."""

import ast
import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path

from service.runtime.address import ACCEPTS_PER_TURN
from service.settings import STARTER_BUNDLE
from tests.faults.conftest import PATIENT, Service
from tests.support.concurrent_clients import ConcurrentClients
from tests.support.server_process import SECONDS, environment, http_client, running, stop

FEW_FILES = 48 + ACCEPTS_PER_TURN  # copies of the listening socket
ROOT = Path(__file__).parents[2]


def test_a_full_disk_stops_only_the_log(tmp_path: Path, fault_seconds: float) -> None:
    """No file can grow, neither the log nor one in /tmp."""
    log = tmp_path / "log"
    flags = (*PATIENT, "--drain-seconds", "0")
    with running(STARTER_BUNDLE, *flags, log=log, log_level="info") as (process, port):
        service = Service(process, port)
        written = log.stat().st_size
        assert written
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (written, written))
        with ConcurrentClients(port, service.answers, clients=4) as clients:
            clients.wait_for(50)
            time.sleep(fault_seconds / 3)
        assert log.stat().st_size == written
        assert (clients.wrong, clients.failures) == (0, {})
        assert service.is_as_before()
        stop(process)


def test_open_connections_survive_missing_file_descriptors(fault_seconds: float) -> None:
    flags = (*PATIENT, "--drain-seconds", "0")
    with running(STARTER_BUNDLE, *flags) as (process, port):
        service = Service(process, port)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (FEW_FILES, FEW_FILES))
        with ConcurrentClients(port, service.answers, clients=4) as clients:
            clients.wait_for(20)
            with ExitStack() as stack:
                for _ in range(2 * FEW_FILES):
                    try:
                        made = socket.create_connection(("127.0.0.1", port), timeout=1)
                    except OSError:
                        continue
                    stack.enter_context(made)
                clients.wait_for(50)
                time.sleep(fault_seconds / 3)
        assert (clients.wrong, clients.failures) == (0, {})
        assert service.is_as_before()
        stop(process)


JUMPING = """
import time
real, monotonic = time.time, time.monotonic

def jumping():
    \"\"\"A year ahead and ten years back in turn, out of step with what looks once a second.\"\"\"
    return real() + (3.15e7 if monotonic() % 0.74 < 0.37 else -3.15e8)

time.time = jumping
"""


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, fault_seconds: float) -> None:
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    env = environment(PYTHONPATH=f"{tmp_path}:{ROOT}")
    flags = (*PATIENT, "--drain-seconds", "1", "--client-timeout", "30", "--request-timeout", "60")
    with running(STARTER_BUNDLE, *flags, env=env) as (process, port):
        service = Service(process, port)
        with http_client(port) as http:
            dates, end = set[str](), time.monotonic() + SECONDS
            while len(dates) < 2 and time.monotonic() < end:
                dates.add(http.get("/health/live").headers["Date"][12:16])
                time.sleep(0.1)
        assert len(dates) > 1, "the clock does not jump"
        with ConcurrentClients(port, service.answers, clients=4) as clients:
            clients.wait_for(20)
            time.sleep(fault_seconds)
        assert (clients.wrong, clients.failures) == (0, {})
        assert service.is_as_before()
        stop(process)


def test_only_displayed_dates_use_the_wall_clock() -> None:
    """Code that waits or measures uses clocks that never go back."""
    users = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "service").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("time", "time"), ("datetime", "now")}
    }
    assert users == {"service/language_model.py", "service/http/openai/completion_serializer.py"}
