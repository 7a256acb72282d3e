"""Draining: the server becomes unready first, and ends after its last response."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.api_client import error_json
from tests.support.concurrent_clients import ConcurrentClients, reference
from tests.support.server_process import SECONDS, http_client, running

LONG = "600"


def draining(http: httpx.Client) -> bool:
    return http.get("/health/ready").status_code == 503


def wait_until_draining(http: httpx.Client) -> None:
    end = time.monotonic() + SECONDS
    while not draining(http):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_draining_server_is_unready_and_serves(bundle_path: Path) -> None:
    with running(bundle_path, "--drain-seconds", "2") as (process, port), http_client(port) as http:
        kept = http.post("/score", json={"text": "The city"})
        assert "Connection" not in kept.headers
        process.send_signal(signal.SIGTERM)
        wait_until_draining(http)
        refused = http.get("/health/ready")
        error_json(refused, 503, "draining")
        assert refused.headers["Retry-After"] == "1"
        assert http.get("/health/live").status_code == 200
        for _ in range(3):
            served = http.post("/score", json={"text": "The city"})
            assert served.content == kept.content
            assert served.headers["Connection"] == "close"
        assert process.wait(SECONDS) == 0
        with pytest.raises(httpx.ConnectError):
            http.get("/health/live")


def test_draining_under_load_loses_no_request(bundle_path: Path) -> None:
    """Some clients obey `Connection: close`; others connect again while the server drains."""
    flags = ("--drain-seconds", "2", "--max-queue-seconds", "60")
    with running(bundle_path, *flags) as (process, port):
        answers = reference(port)
        with ConcurrentClients(port, answers, clients=16, obedient=True) as clients:
            clients.wait_for(50)
            process.send_signal(signal.SIGTERM)
            with http_client(port) as http:
                wait_until_draining(http)
            with ConcurrentClients(port, answers, clients=8, obedient=True) as late:
                late.join()
            clients.join()
        assert process.wait(SECONDS) == 0
    assert clients.answered >= 50
    assert late.answered == 8
    for seen in (clients, late):
        assert (seen.wrong, seen.failures) == (0, {})


def test_a_second_signal_does_not_wait(bundle_path: Path) -> None:
    with (
        running(bundle_path, "--drain-seconds", LONG) as (process, port),
        http_client(port) as http,
    ):
        process.send_signal(signal.SIGTERM)
        wait_until_draining(http)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def test_an_interrupt_does_not_drain(bundle_path: Path) -> None:
    with running(bundle_path, "--drain-seconds", LONG) as (process, port):
        with http_client(port) as http:
            http.get("/health/live")
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0


@contextmanager
def reader_of_much(port: int) -> Iterator[socket.socket]:
    """A connection that read the first byte of a response of about twenty megabytes."""
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", port))
        body = json.dumps({"token_ids": [[2, 3, 4] * 1000], "top": 100})
        lines = ("Host: tests", "Content-Type: application/json", f"Content-Length: {len(body)}")
        reader.sendall("\r\n".join(["POST /score HTTP/1.1", *lines, "", body]).encode())
        assert reader.recv(1)
        yield reader


def test_a_stalled_reader_does_not_delay_the_end(bundle_path: Path) -> None:
    flags = ("--drain-seconds", "0", "--client-timeout", "1")
    with running(bundle_path, *flags) as (process, port), reader_of_much(port):
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def test_a_slow_reader_does_not_delay_the_end(bundle_path: Path) -> None:
    flags = ("--drain-seconds", "0", "--client-timeout", "10", "--request-timeout", "1")
    with running(bundle_path, *flags) as (process, port), reader_of_much(port) as reader:
        process.send_signal(signal.SIGTERM)
        end = time.monotonic() + SECONDS
        while process.poll() is None:
            assert time.monotonic() < end
            with suppress(OSError):
                reader.recv(1 << 14)
            time.sleep(0.2)
