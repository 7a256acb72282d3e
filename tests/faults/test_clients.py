"""Tests with slow, disconnecting or many clients next to normal ones."""

import random
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.faults.conftest import LONG, Service
from tests.support.concurrent_clients import REQUESTS, ConcurrentClients
from tests.support.server_process import SECONDS

CONNECTIONS = 1000
LORISES = 400 if LONG else 100
RESET = struct.pack("ii", 1, 0)  # linger for 0 seconds: close() resets the connection


@contextmanager
def meanwhile(work: Callable[[threading.Event], None], threads: int) -> Iterator[None]:
    """Run `work` in threads until the end of the block, which the event signals."""
    ended = threading.Event()
    started = [threading.Thread(target=work, args=(ended,)) for _ in range(threads)]
    for thread in started:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in started:
            thread.join()


def load_during(service: Service, seconds: float) -> ConcurrentClients:
    with ConcurrentClients(service.port, service.answers, clients=4) as clients:
        time.sleep(seconds)
        clients.wait_for(1)
    return clients


def settles(service: Service, files: int) -> bool:
    """Wait until the service has closed the connections of the fault."""
    end = time.monotonic() + SECONDS
    while service.open_files > files:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


RUNS = "tiedlm_batch_tokens_count"
HEAD = b"POST /score HTTP/1.1\r\nHost: tests\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("begun", "drop"),
    [(HEAD, b"X-A: b\r\n"), (HEAD + b"Content-Length: 100000\r\n\r\n", b" ")],
    ids=["heads", "bodies"],
)
def test_slow_clients_do_not_delay_others(
    service: Service, fault_seconds: float, begun: bytes, drop: bytes
) -> None:
    files = service.open_files

    def drip(ended: threading.Event) -> None:
        """Send a few bytes now and then on many connections, and reopen closed ones."""
        lorises: list[socket.socket] = []
        while not ended.wait(0.2):
            while len(lorises) < LORISES:
                lorises.append(socket.create_connection(("127.0.0.1", service.port)))
                lorises[-1].sendall(begun)
                lorises[-1].setblocking(False)
            for loris in list(lorises):
                try:
                    loris.sendall(drop)
                    if not loris.recv(4096):
                        raise ConnectionResetError
                except BlockingIOError:
                    continue
                except OSError:
                    loris.close()
                    lorises.remove(loris)
        # The service must close the remaining connections.
        left.extend(lorises)

    left: list[socket.socket] = []
    with meanwhile(drip, 1):
        clients = load_during(service, fault_seconds)
    assert left
    assert settles(service, files)
    for loris in left:
        loris.close()
    assert (clients.wrong, clients.failures) == (0, {})
    assert service.is_as_before()


def test_disconnecting_clients_do_not_harm_others(service: Service, fault_seconds: float) -> None:
    files = service.open_files
    text = " ".join(["the city of the north"] * 400)
    body = f'{{"texts": ["{text}", "{text}"]}}'.encode()
    asked = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def leave(ended: threading.Event) -> None:
        chance = random.Random(1)
        while not ended.is_set():
            with socket.create_connection(("127.0.0.1", service.port)) as leaver:
                leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                leaver.sendall(asked[: chance.choice((10, len(HEAD) + 30, len(asked)))])
                ended.wait(chance.random() * 0.03)

    with meanwhile(leave, 4):
        clients = load_during(service, fault_seconds)
    assert settles(service, files)
    assert (clients.wrong, clients.failures) == (0, {})
    assert service.is_as_before()


@pytest.mark.parametrize("stream", ["false", "true"])
def test_costly_work_ends_with_its_clients(service: Service, stream: str) -> None:
    """Twelve clients pipeline a costly and a cheap request and disconnect."""
    files = service.open_files
    path, answered = (
        "/v1/completions",
        'tiedlm_requests_total{route="/v1/completions",status="200"}',
    )
    before = service.metric(answered)
    body = (
        f'{{"model":"tiedlm","prompt":"The","n":64,"max_tokens":3000,"stream":{stream}}}'.encode()
    )
    head = HEAD.replace(b"/score", path.encode()) + b"Content-Length: %d\r\n\r\n" % len(body)
    live = b"GET /health/live HTTP/1.1\r\nHost: tests\r\n\r\n"
    for number in range(12):
        runs = service.metric(RUNS)
        with socket.create_connection(("127.0.0.1", service.port)) as leaver:
            if number % 2:
                leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            leaver.sendall(head + body + live)
            end = time.monotonic() + SECONDS
            while service.metric(RUNS) < runs + 10:  # the costly work has started
                assert time.monotonic() < end
                time.sleep(0.01)
    assert settles(service, files)
    assert service.is_as_before()
    assert service.metric(answered) == before


@pytest.fixture
def _many_files() -> Iterator[None]:
    """Raise the limit of open files, because each connection needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CONNECTIONS + 200:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, CONNECTIONS + 200), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_many_files")
def test_a_thousand_connections_are_all_answered(service: Service) -> None:
    """Open all connections, then send a request on each at once."""
    resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (4096, 4096))
    files = service.open_files
    path, question = REQUESTS[3]
    body = str(question).replace("'", '"').encode()
    head = HEAD.replace(b"/score", path.encode())
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port), SECONDS))
            for _ in range(CONNECTIONS)
        ]
        for connection in connections:
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        received = [whole_answer(connection) for connection in connections]
    assert set(received) == {service.answers[3]}
    assert settles(service, files)
    assert service.is_as_before()


def whole_answer(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    at = head.lower().index(b"content-length:") + 15
    size = int(head[at:].split(b"\r\n", 1)[0])
    while len(body) < size:
        body += connection.recv(65536)
    return body
