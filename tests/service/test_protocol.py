"""What clients may do to a connection: pipeline, offer upgrades, send trailers; within bounds."""

import json
import re
import socket
from collections.abc import Iterator

import pytest

from service.language_model import LanguageModel
from service.protocol import MAX_HEAD_BYTES, MAX_PIPELINED
from tests.service.served import Address, served

SECONDS = 60.0
TEXT = {"text": "the old river"}
GET = b"GET /health/live HTTP/1.1\r\nHost: tests\r\n\r\n"
FLOOD_BYTES = 200 << 20


@pytest.fixture(scope="module")
def address(model: LanguageModel) -> Iterator[Address]:
    with served(model) as made:
        yield made


@pytest.fixture
def connection(address: Address) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=SECONDS) as made:
        yield made


def post(path: str, *lines: str, length: str = "") -> bytes:
    body = json.dumps(TEXT)
    own = ["Host: tests", "Content-Type: application/json", *lines]
    own += [] if "chunked" in "".join(lines) else [f"Content-Length: {length or len(body)}"]
    if "chunked" in "".join(lines):
        body = f"{len(body):x}\r\n{body}\r\n0\r\n"
    return "\r\n".join([f"POST {path} HTTP/1.1", *own, "", body]).encode()


def answers(connection: socket.socket, count: int) -> list[tuple[int, bytes, bytes]]:
    """Status, head and body of the next answers."""
    found: list[tuple[int, bytes, bytes]] = []
    received = b""
    while len(found) < count:
        while b"\r\n\r\n" not in received:
            received += _more(connection)
        head, _, received = received.partition(b"\r\n\r\n")
        length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
        while len(received) < length:
            received += _more(connection)
        found.append((int(head.split()[1]), head.lower(), received[:length]))
        received = received[length:]
    assert not received
    return found


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    assert data, "the connection ended"
    return data


def is_cut_off(connection: socket.socket, flood: bytes) -> bool:
    """Whether it ends, or takes no more, before as much was sent as would fill a memory."""
    connection.settimeout(5)
    sent = 0
    try:
        while sent < FLOOD_BYTES:
            connection.sendall(flood)
            sent += len(flood)
    except OSError:
        return True
    return False


@pytest.mark.parametrize("trailers", [b"aaaaaaa: b\r\n" * 5000, b"x" * 60_000])
def test_trailers_without_an_end_are_not_kept(connection: socket.socket, trailers: bytes) -> None:
    connection.sendall(post("/health/live", "Transfer-Encoding: chunked") + b"a: ")
    assert is_cut_off(connection, trailers)


def test_trailers_are_no_headers(connection: socket.socket) -> None:
    request = post("/score", "Transfer-Encoding: chunked")
    connection.sendall(request + b"X-Request-Id: smuggled\r\n\r\n")
    ((status, head, _),) = answers(connection, 1)
    assert status == 200
    assert b"x-request-id: " in head
    assert b"smuggled" not in head


def test_requests_in_a_row_are_answered_in_a_row(connection: socket.socket) -> None:
    count = MAX_PIPELINED // 2
    requests = [GET, post("/score"), *[GET] * count, post("/score", "X-Request-Id: last")]
    connection.sendall(b"".join(requests))
    found = answers(connection, len(requests))
    assert {status for status, *_ in found} == {200}
    assert found[1][2] == found[-1][2]
    assert b"x-request-id: last" in found[-1][1]


@pytest.mark.parametrize("size", [len(GET), 1024, 1 << 14])
def test_requests_in_a_row_wait_outside(connection: socket.socket, size: int) -> None:
    filled = GET[:-2] + b"X: " + b"x" * (size - len(GET) - 5) + b"\r\n\r\n" if size > 99 else GET
    assert is_cut_off(connection, filled * 1000)


def test_the_head_of_one_that_waits_counts_alone(connection: socket.socket) -> None:
    """The bytes of those before it in the same packet are not its own."""
    before = GET[:-2] + b"X: " + b"x" * (MAX_HEAD_BYTES // 4) + b"\r\n\r\n"
    connection.sendall(before * 5 + GET[:9])
    answers(connection, 5)
    connection.sendall(GET[9:])
    assert answers(connection, 1)[0][0] == 200


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "offer", [("Upgrade: h2c", "HTTP2-Settings: AAMAAABk"), ("Upgrade: websocket",)]
)
def test_an_upgrade_that_is_offered_is_not_taken(
    connection: socket.socket, offer: tuple[str, ...], at_once: bool
) -> None:
    request = post("/score", "Connection: Upgrade, HTTP2-Settings", *offer)
    parts = [request] if at_once else [request[:-9], request[-9:]]
    for part in parts:
        connection.sendall(part)
    connection.sendall(post("/score"))
    upgraded, plain = answers(connection, 2)
    assert upgraded[0] == plain[0] == 200
    assert upgraded[2] == plain[2]


def test_a_length_may_have_any_number_of_zeros_before_it(connection: socket.socket) -> None:
    connection.sendall(post("/score", length="0" * 5000 + str(len(json.dumps(TEXT)))))
    assert answers(connection, 1)[0][0] == 200


def test_garbage_after_a_request_leaves_its_answer_whole(connection: socket.socket) -> None:
    connection.sendall(post("/score") + b"\0\0garbage\r\n\r\n")
    assert answers(connection, 1)[0][0] == 200
    assert connection.recv(1 << 16) == b""


@pytest.mark.parametrize("body", [b"zz\r\n", b"2\r\n{}x\r\n", b"-1\r\n"])
def test_a_body_that_breaks_is_told_at_once(connection: socket.socket, body: bytes) -> None:
    chunked = post("/score", "Transfer-Encoding: chunked").partition(b"\r\n\r\n")[0]
    connection.settimeout(SECONDS / 6)  # the service itself would wait for the rest for longer
    connection.sendall(chunked + b"\r\n\r\n" + body)
    assert answers(connection, 1)[0][0] == 400
    assert connection.recv(1 << 16) == b""
