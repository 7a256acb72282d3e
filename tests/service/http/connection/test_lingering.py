"""Connections that close while their clients send: the response arrives, within bounds."""

import asyncio
import json
import logging
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import Overloaded
from service.http.connection import closing_protocol, lingering
from service.http.connection.framed_protocol import DISCARDED_BODY_BYTES
from service.http.connection.timeout_protocol import TimeoutProtocol
from service.language_model import LanguageModel
from tests.support.api_client import strict_json
from tests.support.http_server import Address, serve_with
from tests.support.raw_http import GET_LIVE, post_head, read_responses

SECONDS = 60.0
MB = 1 << 20
FLOOD_BYTES = 200 * MB
KEY = "a-key-of-sixteen-or-more"


@pytest.fixture(scope="module")
def address(model: LanguageModel) -> Iterator[Address]:
    with serve_with(model, client_timeout=SECONDS) as made:
        yield made


@pytest.fixture
def connection(address: Address) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=SECONDS) as made:
        yield made


@pytest.fixture
def _refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reject every request before its body is read, as under overload."""

    async def refuse(*_: object) -> bytes:
        raise Overloaded("the service is busy", 1)

    monkeypatch.setattr("service.http.middleware.read_body", refuse)


def read_error(connection: socket.socket) -> tuple[int, bytes, str]:
    """Return status, head and error code of the next response."""
    ((status, start, body),) = read_responses(connection, 1)
    return status, start, str(strict_json(body).get("error", {}).get("code"))


def is_reset(connection: socket.socket, piece: bytes, pause: float) -> bool:
    """Return whether the connection is reset before the flood's end."""
    end = time.monotonic() + SECONDS
    sent = 0
    try:
        while sent < FLOOD_BYTES and time.monotonic() < end:
            connection.sendall(piece)
            sent += len(piece)
            time.sleep(pause)
    except OSError:
        return True
    return False


@pytest.mark.usefixtures("_refusing")
@pytest.mark.parametrize("left", [1, DISCARDED_BODY_BYTES])
def test_a_short_rest_keeps_the_connection(connection: socket.socket, left: int) -> None:
    for _ in range(3):
        connection.sendall(post_head(f"Content-Length: {left}"))
        status, start, code = read_error(connection)
        assert (status, code) == (429, "overloaded")
        assert b"connection: close" not in start
        connection.sendall(b" " * left)
    connection.sendall(post_head(f"Content-Length: {left}") + b" " * left)
    assert read_error(connection)[0] == 429


@pytest.mark.usefixtures("_refusing")
@pytest.mark.parametrize(
    "lines",
    [
        (f"Content-Length: {DISCARDED_BODY_BYTES + 1}",),
        ("Transfer-Encoding: chunked",),
        ("Content-Length: 9", "Expect: 100-continue"),
    ],
)
def test_a_long_rest_closes_the_connection(
    connection: socket.socket, lines: tuple[str, ...]
) -> None:
    connection.sendall(post_head(*lines))
    status, start, _ = read_error(connection)
    assert status == 429
    assert b"connection: close" in start
    assert connection.recv(1) == b""
    for _ in range(64):  # and is not reset, whatever the client still sends
        connection.sendall(b" " * MB)


@pytest.mark.parametrize("size", [1, 16 * MB, 64 * MB])
def test_401_reaches_a_client_that_sends_first(model: LanguageModel, size: int) -> None:
    with (
        serve_with(model, api_keys=SecretStr(KEY), client_timeout=SECONDS) as address,
        socket.create_connection(address, timeout=SECONDS) as connection,
    ):
        connection.sendall(post_head(f"Content-Length: {size}"))
        for at in range(0, size, MB):
            connection.sendall(b" " * min(MB, size - at))
        status, _, code = read_error(connection)
        assert (status, code) == (401, "unauthorized")


def test_408_reaches_a_sending_client(model: LanguageModel) -> None:
    with (
        serve_with(model, client_timeout=2) as address,
        socket.create_connection(address, timeout=SECONDS) as connection,
    ):
        connection.sendall(post_head("Content-Length: 8000000"))
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            connection.sendall(b" ")
            if select.select([connection], [], [], 0.01)[0]:
                break
        assert read_error(connection)[::2] == (408, "body_too_slow")
        assert connection.recv(1) == b""


def test_a_too_large_body_gets_no_100_continue(connection: socket.socket) -> None:
    connection.sendall(post_head(f"Content-Length: {64 * MB}", "Expect: 100-continue"))
    assert read_error(connection)[::2] == (413, "body_too_large")
    assert connection.recv(1) == b""


@pytest.mark.parametrize("at_once", [True, False])
def test_invalid_http_is_answered_while_more_comes(
    connection: socket.socket, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "LINGER_SECONDS", SECONDS)
    monkeypatch.setattr(lingering, "SILENT_SECONDS", SECONDS)
    pieces = [b"SSH-2.0-OpenSSH_9.6\r\n", *[b"x" * MB] * 20]
    for piece in [b"".join(pieces)] if at_once else pieces:
        connection.sendall(piece)
    assert read_error(connection)[::2] == (400, "invalid_request")


def test_a_response_before_the_close_is_complete(connection: socket.socket) -> None:
    """Requests after one with `Connection: close` get no response and do not damage its one."""
    body = json.dumps({"token_ids": [[2, 3, 4] * 300], "top": 50})
    asked = post_head(f"Content-Length: {len(body)}", "Connection: close") + body.encode()
    connection.sendall(asked + GET_LIVE * 50_000)
    status, start, _ = read_error(connection)
    assert status == 200
    assert b"connection: close" in start
    assert connection.recv(1) == b""


def test_discarded_bytes_are_bounded(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "LINGER_BYTES", 20 * MB)
    connection.sendall(post_head(f"Content-Length: {1 << 40}"))
    assert read_error(connection)[0] == 413
    assert is_reset(connection, b" " * MB, 0)


def test_lingering_time_is_bounded(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "LINGER_BYTES", 1 << 60)
    monkeypatch.setattr(lingering, "LINGER_SECONDS", 0.5)
    connection.sendall(post_head(f"Content-Length: {1 << 40}"))
    assert read_error(connection)[0] == 413
    assert is_reset(connection, b" " * MB, 0.1)


def test_a_silent_client_ends_lingering(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "LINGER_SECONDS", 1e6)
    monkeypatch.setattr(lingering, "SILENT_SECONDS", 0.1)
    connection.sendall(post_head(f"Content-Length: {1 << 40}"))
    assert read_error(connection)[0] == 413
    assert is_reset(connection, b" " * MB, 0.5)


@pytest.mark.parametrize("waits", [True, False])
def test_lingering_does_not_delay_shutdown(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """One client is still sending and one is silent when the service shuts down."""
    monkeypatch.setattr(lingering, "LINGER_SECONDS", 1e6)
    monkeypatch.setattr(lingering, "SILENT_SECONDS", 1e6)
    monkeypatch.setattr(closing_protocol, "LAST_LINGER_SECONDS", 0.2)
    ended = threading.Event()

    def serve() -> None:
        with serve_with(model) as address:
            connection = socket.create_connection(address, timeout=SECONDS)
            connections.append(connection)
            connection.sendall(post_head(f"Content-Length: {1 << 40}"))
            assert read_error(connection)[0] == 413
        ended.set()

    connections: list[socket.socket] = []
    thread = threading.Thread(target=serve)
    thread.start()
    end = time.monotonic() + SECONDS
    try:
        while not ended.wait(0.05) and time.monotonic() < end:
            if not waits and connections:
                connections[0].sendall(b" ")
    except OSError:  # the service closed the connection
        ended.wait(SECONDS)
    finally:
        has_ended = ended.is_set()
        for connection in connections:
            connection.close()
        thread.join()
    assert has_ended


def test_a_response_during_shutdown_lingers_briefly(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gets its response after the shutdown began, and keeps its connection open."""
    monkeypatch.setattr(lingering, "LINGER_SECONDS", 1e6)
    monkeypatch.setattr(lingering, "SILENT_SECONDS", 1e6)
    monkeypatch.setattr(closing_protocol, "LAST_LINGER_SECONDS", 0.2)
    started, notified, ended = threading.Event(), threading.Event(), threading.Event()

    async def refuse_late(*_: object) -> bytes:
        started.set()
        await asyncio.to_thread(notified.wait, SECONDS)
        raise Overloaded("the service is busy", 1)

    tell = TimeoutProtocol.shutdown

    def recording(self: TimeoutProtocol) -> None:
        tell(self)
        notified.set()

    monkeypatch.setattr("service.http.middleware.read_body", refuse_late)
    monkeypatch.setattr(TimeoutProtocol, "shutdown", recording)
    connections: list[socket.socket] = []

    def serve() -> None:
        with serve_with(model) as address:
            connections.append(socket.create_connection(address, timeout=SECONDS))
            connections[0].sendall(post_head("Content-Length: 1") + b" ")
            assert started.wait(SECONDS)
        ended.set()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert started.wait(SECONDS)
        assert read_error(connections[0])[0] == 429
        assert ended.wait(SECONDS)
    finally:
        for connection in connections:
            connection.close()
        thread.join()


@pytest.mark.usefixtures("_refusing")
def test_lingering_logs_no_error(address: Address, caplog: pytest.LogCaptureFixture) -> None:
    """Clients get an early response and then stay, close, or reset."""
    for number in range(60):
        with socket.create_connection(address, timeout=SECONDS) as connection:
            connection.sendall(post_head(f"Content-Length: {4 * MB}") + b" " * 100_000)
            if number % 3:
                assert read_error(connection)[0] == 429
            if number % 2:
                connection.sendall(b" " * MB)
    with socket.create_connection(address, timeout=SECONDS) as connection:
        connection.sendall(GET_LIVE)
        assert connection.recv(4096)
    found = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert found == []


@pytest.mark.parametrize("keep_alive_seconds", [0.2, 60], ids=["idle", "late"])
def test_a_slow_body_keeps_an_early_response(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch, keep_alive_seconds: float
) -> None:
    """The response is sent before the body has arrived. No timeout of an idle connection runs
    meanwhile.
    """
    made = HttpToolsProtocol.__init__

    def with_a_short_keep_alive(self: HttpToolsProtocol, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        self.timeout_keep_alive = keep_alive_seconds  # type: ignore[assignment]  # whole seconds

    monkeypatch.setattr(HttpToolsProtocol, "__init__", with_a_short_keep_alive)
    with (
        serve_with(model, client_timeout=1) as address,
        socket.create_connection(address, timeout=SECONDS) as connection,
    ):
        connection.sendall(post_head("Content-Length: 600000", "Content-Encoding: br"))
        for _ in range(12):
            time.sleep(0.2)
            connection.sendall(b" " * 50_000)
        assert read_error(connection)[::2] == (415, "unsupported_media_type")
