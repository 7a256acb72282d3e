"""Stalled clients are disconnected; slow ones are served."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.http.connection.head_protocol import MAX_HEAD_BYTES
from service.http.connection.timeout_protocol import TimeoutProtocol
from service.language_model import LanguageModel
from tests.support.api_client import strict_json
from tests.support.http_server import Address, serve_with
from tests.support.raw_http import GET_LIVE, post_head

PATIENCE = 0.5  # of the server, in seconds
SECONDS = 60.0  # far beyond it
ESTABLISHED = "01"


@pytest.fixture(scope="module")
def impatient(model: LanguageModel) -> Iterator[Address]:
    with serve_with(model, client_timeout=PATIENCE) as address:
        yield address


@pytest.fixture
def connection(impatient: Address) -> Iterator[socket.socket]:
    with socket.create_connection(impatient, timeout=SECONDS) as made:
        yield made


@pytest.fixture(autouse=True)
def _others_are_served(impatient: Address) -> Iterator[None]:
    yield
    with socket.create_connection(impatient, timeout=SECONDS) as other:
        other.sendall(GET_LIVE)
        assert other.recv(4096).startswith(b"HTTP/1.1 200")


def rest(connection: socket.socket) -> bytes:
    """Return all bytes until the other side closes or resets."""
    received = b""
    try:
        while chunk := connection.recv(1 << 20):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def wait_until_the_server_closes(connection: socket.socket) -> None:
    """Wait until its side of the connection, which nobody reads, is no longer established."""
    (_, ours), (_, theirs) = connection.getsockname(), connection.getpeername()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            here, there, state = line.split()[1:4]
            if (here[-4:], there[-4:]) == (f"{theirs:04X}", f"{ours:04X}") and state == ESTABLISHED:
                break
        else:
            return
        time.sleep(PATIENCE / 10)
    raise AssertionError("the server keeps the connection")


def is_closed_while_sending(connection: socket.socket, piece: bytes, pause: float) -> bool:
    """Send the chunk repeatedly. Return whether the other side closed, and its response."""
    end = time.monotonic() + SECONDS
    connection.settimeout(pause)
    while time.monotonic() < end:
        try:
            connection.sendall(piece)
            if connection.recv(65536) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_a_missing_body_is_408(connection: socket.socket) -> None:
    connection.sendall(post_head("Content-Length: 1000") + b'{"text": "')
    answer_head, _, body = rest(connection).partition(b"\r\n\r\n")
    assert answer_head.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in answer_head.lower()
    assert strict_json(body)["error"]["code"] == "body_too_slow"


def test_a_dripping_body_is_408(connection: socket.socket) -> None:
    connection.sendall(post_head("Content-Length: 100000"))
    begun = time.monotonic()
    connection.settimeout(PATIENCE / 5)
    received = b""
    while not received and time.monotonic() < begun + SECONDS:
        connection.sendall(b" ")
        try:
            received = connection.recv(65536)
        except TimeoutError:
            continue
    assert received.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "begun", [b"", b"P", b"POST /score HT", GET_LIVE[:-2], GET_LIVE + b"GET /he"]
)
def test_a_missing_head_ends_the_connection(connection: socket.socket, begun: bytes) -> None:
    connection.sendall(begun)
    answered = rest(connection)
    assert answered.count(b"HTTP/1.1 200") == begun.count(b"\r\n\r\n")


@pytest.mark.parametrize("before", [b"", GET_LIVE, GET_LIVE + GET_LIVE])
@pytest.mark.parametrize("drop", [b"\r\n", b"X: y\r\n"])
def test_a_dripping_head_ends_the_connection(
    connection: socket.socket, before: bytes, drop: bytes
) -> None:
    """Empty lines before a request are allowed, but only for a limited time."""
    first = b"" if drop == b"\r\n" else GET_LIVE[:-2]
    connection.sendall(before + first)
    assert is_closed_while_sending(connection, drop, PATIENCE / 5)


def test_an_endless_head_is_not_kept(connection: socket.socket) -> None:
    connection.sendall(GET_LIVE[:-2])
    line = b"X-Filler: " + b"x" * 8000 + b"\r\n"
    sent, end = 0, time.monotonic() + SECONDS
    is_closed = False
    while not is_closed and time.monotonic() < end:
        try:
            connection.sendall(line)
            sent += len(line)
        except OSError:  # reset or a broken pipe, as it happens
            is_closed = True
    assert is_closed
    assert sent > MAX_HEAD_BYTES


def test_a_head_of_many_headers_is_accepted(connection: socket.socket) -> None:
    many = b"".join(b"X-%d: %s\r\n" % (n, b"x" * 100) for n in range(100))
    connection.sendall(GET_LIVE[:-2] + many + b"\r\n")
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_rejected_body_is_not_waited_for(
    connection: socket.socket,
) -> None:
    connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: tests\r\nContent-Length: 9\r\n\r\n")
    assert is_closed_while_sending(connection, b"", PATIENCE)


@pytest.fixture
def large() -> bytes:
    """A request with a response of some megabytes."""
    body = json.dumps({"token_ids": [[2, 3, 4] * 300], "top": 100}).encode()
    return post_head(f"Content-Length: {len(body)}") + body


@pytest.fixture
def small_window(impatient: Address) -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.settimeout(SECONDS)
        made.connect(impatient)
        yield made


def test_an_unread_response_ends_the_connection(small_window: socket.socket, large: bytes) -> None:
    small_window.sendall(large)
    start = small_window.recv(1000)
    assert start.startswith(b"HTTP/1.1 200")
    at = start.lower().index(b"content-length:") + 15
    size = int(start[at:].split(b"\r\n", 1)[0])
    wait_until_the_server_closes(small_window)
    assert len(start) + len(rest(small_window)) < size


def test_a_slowly_read_response_is_complete(model: LanguageModel, large: bytes) -> None:
    """The reader takes longer than the limit in all, but far less from one read to the next."""
    patience = 3.0
    with serve_with(model, client_timeout=patience) as address, socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.settimeout(SECONDS)
        reader.connect(address)
        reader.sendall(large)
        received = b""
        while b"\r\n\r\n" not in received:
            received += reader.recv(1000)
        begun = time.monotonic()
        start, _, body = received.partition(b"\r\n\r\n")
        at = start.lower().index(b"content-length:") + 15
        size, got = int(start[at:].split(b"\r\n", 1)[0]), len(body)
        while got < size:
            slowly = time.monotonic() - begun < 1.5 * patience
            piece = reader.recv(1000 if slowly else 200_000)
            assert piece
            got += len(piece)
            if slowly:
                time.sleep(patience / 100)
        assert got == size
        assert time.monotonic() - begun > 1.5 * patience


@pytest.fixture
def _unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the transport report no buffered response, as below its high-water mark."""
    made = TimeoutProtocol.connection_made

    def quiet(self: TimeoutProtocol, transport: Any) -> None:
        transport.set_write_buffer_limits(high=1 << 30)
        made(self, transport)

    monkeypatch.setattr(TimeoutProtocol, "connection_made", quiet)


@pytest.mark.usefixtures("_unreported")
@pytest.mark.parametrize(
    "after",
    [b"G", b"\0\0", GET_LIVE[:-2] + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"],
    ids=["part of a head", "garbage", "a body that breaks"],
)
def test_an_unread_response_never_keeps_a_connection(
    small_window: socket.socket, large: bytes, after: bytes
) -> None:
    small_window.sendall(large)
    assert small_window.recv(1000).startswith(b"HTTP/1.1 200")
    small_window.sendall(after)
    wait_until_the_server_closes(small_window)


def test_pipelined_unread_responses_end_the_connection(
    small_window: socket.socket,
) -> None:
    """The kernel buffers some responses; the other requests are not started."""
    small_window.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: tests\r\n\r\n" * 250)
    wait_until_the_server_closes(small_window)
    small_window.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    assert 0 < rest(small_window).count(b"HTTP/1.1 200") < 250
