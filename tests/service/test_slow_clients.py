"""Clients that take their time are not waited for, and those that are merely slow are."""

import json
import re
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from service.language_model import LanguageModel
from service.protocol import MAX_HEAD_BYTES
from tests.service.served import Address, served
from tests.service.wire import strict_json

PATIENCE = 0.5  # of the server, in seconds
SECONDS = 20.0  # far beyond it
GET = b"GET /health/live HTTP/1.1\r\nHost: tests\r\n\r\n"


@pytest.fixture(scope="module")
def impatient(model: LanguageModel) -> Iterator[Address]:
    with served(model, client_timeout=PATIENCE) as address:
        yield address


@pytest.fixture
def connection(impatient: Address) -> Iterator[socket.socket]:
    with socket.create_connection(impatient, timeout=SECONDS) as made:
        yield made


@pytest.fixture(autouse=True)
def _others_are_served(impatient: Address) -> Iterator[None]:
    yield
    with socket.create_connection(impatient, timeout=SECONDS) as other:
        other.sendall(GET)
        assert other.recv(4096).startswith(b"HTTP/1.1 200")


def head(path: str, size: int) -> bytes:
    lines = ("Host: tests", "Content-Type: application/json", f"Content-Length: {size}")
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode()


def rest(connection: socket.socket) -> bytes:
    """All that comes until the other side closes, or breaks off."""
    received = b""
    try:
        while chunk := connection.recv(1 << 20):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def is_closed_while_sending(connection: socket.socket, piece: bytes, pause: float) -> bool:
    """Send the piece again and again; whether the other side ended that, and what it answered."""
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


def test_a_body_that_does_not_come_is_408(connection: socket.socket) -> None:
    connection.sendall(head("/score", 1000) + b'{"text": "')
    answer_head, _, body = rest(connection).partition(b"\r\n\r\n")
    assert answer_head.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in answer_head.lower()
    assert strict_json(body)["error"]["code"] == "body_too_slow"


def test_a_body_that_drips_is_408(connection: socket.socket) -> None:
    connection.sendall(head("/score", 100_000))
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


@pytest.mark.parametrize("begun", [b"", b"P", b"POST /score HT", GET[:-2], GET + b"GET /he"])
def test_a_head_that_does_not_come_ends_the_connection(
    connection: socket.socket, begun: bytes
) -> None:
    connection.sendall(begun)
    answered = rest(connection)
    assert answered.count(b"HTTP/1.1 200") == begun.count(b"\r\n\r\n")


@pytest.mark.parametrize("before", [b"", GET, GET + GET])
@pytest.mark.parametrize("drop", [b"\r\n", b"X: y\r\n"])
def test_a_head_that_drips_ends_the_connection(
    connection: socket.socket, before: bytes, drop: bytes
) -> None:
    """Empty lines before a request are allowed, but not for ever."""
    first = b"" if drop == b"\r\n" else GET[:-2]
    connection.sendall(before + first)
    assert is_closed_while_sending(connection, drop, PATIENCE / 5)


def test_a_head_without_an_end_is_not_kept(connection: socket.socket) -> None:
    connection.sendall(GET[:-2])
    line = b"X-Filler: " + b"x" * 8000 + b"\r\n"
    lines = 20 * MAX_HEAD_BYTES // len(line)
    sent = 0
    try:
        while sent < lines:
            connection.sendall(line)
            sent += 1
            time.sleep(0.001)
    except OSError:  # reset or a broken pipe, as it happens
        pass
    assert sent * len(line) > MAX_HEAD_BYTES
    assert sent < lines


def test_a_head_of_many_headers_is_taken(connection: socket.socket) -> None:
    many = b"".join(b"X-%d: %s\r\n" % (n, b"x" * 100) for n in range(100))
    connection.sendall(GET[:-2] + many + b"\r\n")
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_body_on_its_way_to_a_refused_route_is_not_waited_for(
    connection: socket.socket,
) -> None:
    connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: tests\r\nContent-Length: 9\r\n\r\n")
    assert is_closed_while_sending(connection, b"", PATIENCE)


@pytest.fixture
def large() -> bytes:
    """A request whose answer is some megabytes."""
    body = json.dumps({"token_ids": [[2, 3, 4] * 300], "top": 100}).encode()
    return head("/score", len(body)) + body


@pytest.fixture
def small_window(impatient: Address) -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.settimeout(SECONDS)
        made.connect(impatient)
        yield made


def test_an_answer_that_nobody_takes_is_dropped(small_window: socket.socket, large: bytes) -> None:
    small_window.sendall(large)
    start = small_window.recv(1000)
    assert start.startswith(b"HTTP/1.1 200")
    at = start.lower().index(b"content-length:") + 15
    size = int(start[at:].split(b"\r\n", 1)[0])
    time.sleep(4 * PATIENCE)
    assert len(start) + len(rest(small_window)) < size


def test_an_answer_that_is_taken_slowly_is_sent_whole(
    small_window: socket.socket, large: bytes
) -> None:
    small_window.sendall(large)
    begun, received = time.monotonic(), b""
    while b"\r\n\r\n" not in received:
        received += small_window.recv(1000)
    start, _, body = received.partition(b"\r\n\r\n")
    at = start.lower().index(b"content-length:") + 15
    size, got = int(start[at:].split(b"\r\n", 1)[0]), len(body)
    while got < size:
        piece = small_window.recv(200_000)
        assert piece
        got += len(piece)
        if time.monotonic() - begun < 3 * PATIENCE:
            time.sleep(PATIENCE / 10)
    assert got == size
    assert time.monotonic() - begun > 2 * PATIENCE


def test_requests_whose_answers_nobody_takes_are_dropped(
    small_window: socket.socket, impatient: Address
) -> None:
    """The kernel takes some of them; the others are not even begun."""
    small_window.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: tests\r\n\r\n" * 250)
    before, answered = -1.0, counted(impatient)
    while answered > before:
        time.sleep(4 * PATIENCE)
        before, answered = answered, counted(impatient)
    small_window.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    assert 0 < rest(small_window).count(b"HTTP/1.1 200") < 250


def counted(address: Address) -> float:
    """How many requests were answered, but those of this function."""
    page = httpx.get(f"http://{address[0]}:{address[1]}/metrics", trust_env=False).text
    found = re.findall(r'^tiedlm_requests_total\{route="(.*?)".*\} (\S+)$', page, re.MULTILINE)
    return sum(float(count) for route, count in found if route != "/metrics")
