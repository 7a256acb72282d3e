"""Connections with pipelines, upgrades and trailers, within bounds."""

import asyncio
import errno
import json
import logging
import socket
import threading
from collections.abc import Iterator

import pytest

from service.http.connection.framed_protocol import MAX_PIPELINED, FramedProtocol
from service.http.connection.head_protocol import MAX_HEAD_BYTES
from service.http.connection.timeout_protocol import _unacknowledged_bytes
from service.language_model import LanguageModel
from tests.support.http_server import Address, serve_with
from tests.support.raw_http import GET_LIVE, read_responses

SECONDS = 60.0
TEXT = {"text": "the old river"}
MB = 1 << 20
FLOOD_BYTES = 200 * MB


@pytest.fixture(scope="module")
def address(model: LanguageModel) -> Iterator[Address]:
    with serve_with(model) as made:
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


def is_cut_off(connection: socket.socket, flood: bytes) -> bool:
    """Return whether the connection ends or blocks before 200 MB are sent."""
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
def test_endless_trailers_are_not_kept(connection: socket.socket, trailers: bytes) -> None:
    connection.sendall(post("/health/live", "Transfer-Encoding: chunked") + b"a: ")
    assert is_cut_off(connection, trailers)


def test_trailers_are_not_headers(connection: socket.socket) -> None:
    request = post("/score", "Transfer-Encoding: chunked")
    connection.sendall(request + b"X-Request-Id: smuggled\r\n\r\n")
    ((status, head, _),) = read_responses(connection, 1)
    assert status == 200
    assert b"x-request-id: " in head
    assert b"smuggled" not in head


TRAILERS = [
    b"Connection: close",
    b"Connection: Upgrade\r\nUpgrade: h2c",
    b"Content-Length: 9",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip",
    b"Host: other",
    b"Expect: 100-continue",
    b"A: b\r\nConnection: close\r\nC: d",
]


@pytest.mark.parametrize("trailers", TRAILERS)
@pytest.mark.parametrize("at_once", [True, False])
def test_trailers_change_nothing_for_later_requests(
    connection: socket.socket, trailers: bytes, at_once: bool
) -> None:
    request = post("/score", "Transfer-Encoding: chunked") + trailers + b"\r\n\r\n"
    if at_once:
        connection.sendall((request + GET_LIVE) * 3)
        found = read_responses(connection, 6)
    else:
        found = []
        for _ in range(3):
            connection.sendall(request)
            found += read_responses(connection, 1)
            connection.sendall(GET_LIVE)
            found += read_responses(connection, 1)
    assert [status for status, *_ in found] == [200] * 6
    assert not any(b"connection: close" in head for _, head, _ in found)
    assert found[0][2] == found[2][2] == found[4][2]


def test_pipelined_requests_are_answered_in_order(connection: socket.socket) -> None:
    count = MAX_PIPELINED // 2
    requests = [GET_LIVE, post("/score"), *[GET_LIVE] * count, post("/score", "X-Request-Id: last")]
    connection.sendall(b"".join(requests))
    found = read_responses(connection, len(requests))
    assert {status for status, *_ in found} == {200}
    assert found[1][2] == found[-1][2]
    assert b"x-request-id: last" in found[-1][1]


# The responses to larger requests, 200 bytes each, fit into the kernel's buffers.
@pytest.mark.parametrize("size", [len(GET_LIVE), 1024])
def test_queued_requests_are_not_started(connection: socket.socket, size: int) -> None:
    filled = (
        GET_LIVE[:-2] + b"X: " + b"x" * (size - len(GET_LIVE) - 5) + b"\r\n\r\n"
        if size > 99
        else GET_LIVE
    )
    assert is_cut_off(connection, filled * 1000)


def test_the_limit_counts_one_head_only(connection: socket.socket) -> None:
    """Bytes of earlier requests in the same packet do not count."""
    before = GET_LIVE[:-2] + b"X: " + b"x" * (MAX_HEAD_BYTES // 4) + b"\r\n\r\n"
    connection.sendall(before * 5 + GET_LIVE[:9])
    read_responses(connection, 5)
    connection.sendall(GET_LIVE[9:])
    assert read_responses(connection, 1)[0][0] == 200


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "offer", [("Upgrade: h2c", "HTTP2-Settings: AAMAAABk"), ("Upgrade: websocket",)]
)
def test_an_offered_upgrade_is_ignored(
    connection: socket.socket, offer: tuple[str, ...], at_once: bool
) -> None:
    request = post("/score", "Connection: Upgrade, HTTP2-Settings", *offer)
    parts = [request] if at_once else [request[:-9], request[-9:]]
    for part in parts:
        connection.sendall(part)
    connection.sendall(post("/score"))
    upgraded, plain = read_responses(connection, 2)
    assert upgraded[0] == plain[0] == 200
    assert upgraded[2] == plain[2]


def test_a_closing_connection_ends_after_its_response(connection: socket.socket) -> None:
    connection.sendall(GET_LIVE + GET_LIVE[:-2] + b"Connection: close\r\n\r\n" + GET_LIVE * 20)
    first, last = read_responses(connection, 2)
    assert (first[0], last[0]) == (200, 200)
    assert b"connection: close" not in first[1]
    assert b"connection: close" in last[1]
    assert connection.recv(1 << 16) == b""


OFFER = b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"


@pytest.mark.parametrize("request_", [GET_LIVE, GET_LIVE[:-2] + OFFER], ids=["plain", "upgrade"])
def test_the_request_queue_is_bounded(
    connection: socket.socket,
    request_: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rest is queued as bytes, and all are answered."""
    waiting: list[int] = []
    parsed = FramedProtocol.on_message_complete

    def recording(self: FramedProtocol) -> None:
        waiting.append(len(self.pipeline))
        parsed(self)

    monkeypatch.setattr(FramedProtocol, "on_message_complete", recording)
    connection.sendall(request_ * 1000)
    found = read_responses(connection, 1000)
    assert {status for status, *_ in found} == {200}
    assert len(waiting) == 1000
    assert max(waiting) <= MAX_PIPELINED
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_large_pipelined_requests_are_all_answered(connection: socket.socket) -> None:
    """They are more bytes than the queue holds, while nobody reads the responses."""
    body = b" " * (MB - 2) + b"{}"
    large = b"POST /detokenize HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
    large += b"Content-Length: %d\r\n\r\n" % len(body) + body
    sender = threading.Thread(target=connection.sendall, args=(large * 40,))
    sender.start()
    found = read_responses(connection, 40)
    sender.join()
    assert [status for status, *_ in found] == [422] * 40


def test_any_number_of_upgrades_is_answered(connection: socket.socket) -> None:
    """As many as the queue holds, several times on one connection."""
    for _ in range(8):
        connection.sendall((GET_LIVE[:-2] + OFFER) * 200)
        assert {status for status, *_ in read_responses(connection, 200)} == {200}


HOSTED = b"Host: tests\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
REFUSED = {
    "HTTP/0.9": b"GET /health/live\r\n",
    "HTTP/0.9 by name": b"GET /health/live HTTP/0.9\r\n\r\n",
    "HTTP/2.0": b"GET /health/live HTTP/2.0\r\n" + HOSTED + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.0": b"GET /health/live HTTP/3.0\r\n" + HOSTED + b"\r\n",
    "RTSP": b"OPTIONS /health/live RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    "ICE": b"SOURCE /health/live ICE/1.0\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "CONNECT": b"CONNECT tests:80 HTTP/1.1\r\n" + HOSTED + b"\r\n",
    "no Host": b"GET /health/live HTTP/1.1\r\n\r\n",
    "asterisk without OPTIONS": b"GET * HTTP/1.1\r\n" + HOSTED + b"\r\n",
    "a URL without a host": b"GET http:// HTTP/1.1\r\n" + HOSTED + b"\r\n",
    "two Hosts": b"GET /health/live HTTP/1.1\r\n" + HOSTED * 2 + b"\r\n",
    "two other Hosts": b"GET /health/live HTTP/1.1\r\n" + HOSTED + b"Host: b\r\n\r\n",
    "a bad Host": b"GET /health/live HTTP/1.1\r\nHost: a b\r\n\r\n",
    "two Hosts in 1.0": b"GET /health/live HTTP/1.0\r\n" + HOSTED * 2 + b"\r\n",
    "bare LF": GET_LIVE.replace(b"\r\n", b"\n"),
    "bare LF in one line": b"GET /health/live HTTP/1.1\nHost: tests\r\n\r\n",
    "bare CR": b"GET /health/live HTTP/1.1\rHost: tests\r\n\r\n",
    "obs-fold": GET_LIVE[:-2] + b"X-A: b\r\n c\r\n\r\n",
    "space before colon": GET_LIVE[:-2] + b"X-A : b\r\n\r\n",
    "space before length": b"POST /score HTTP/1.1\r\n" + HOSTED + b"Content-Length : 2\r\n\r\n{}",
    "no colon": GET_LIVE[:-2] + b"X-A\r\n\r\n",
    "NUL": GET_LIVE[:-2] + b"X-A: \0\r\n\r\n",
}
BODIES = {
    "both": b"Content-Length: 2\r\n" + CHUNKED,
    "both the other way": CHUNKED + b"Content-Length: 2\r\n",
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n",
    "a list of lengths": b"Content-Length: 2, 3\r\n",
    "signed length": b"Content-Length: +2\r\n",
    "negative length": b"Content-Length: -2\r\n",
    "hexadecimal length": b"Content-Length: 0x2\r\n",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "gzip and chunked": b"Transfer-Encoding: gzip\r\n" + CHUNKED,
    "chunked, gzip": b"Transfer-Encoding: chunked, gzip\r\n",
    "gzip": b"Transfer-Encoding: gzip\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "chunked twice": CHUNKED * 2,
}
for _name, _lines in BODIES.items():
    REFUSED[_name] = b"POST /score HTTP/1.1\r\n" + HOSTED + _lines + b"\r\n2\r\n{}\r\n0\r\n\r\n"
REFUSED["chunked in 1.0"] = REFUSED["gzip"].replace(b"1.1", b"1.0").replace(b"gzip", b"chunked")


@pytest.mark.parametrize("sent", REFUSED.values(), ids=list(REFUSED))
@pytest.mark.parametrize("after", [False, True])
def test_ambiguous_requests_are_400(connection: socket.socket, sent: bytes, after: bool) -> None:
    """At once, with or without earlier requests; later bytes are not parsed."""
    connection.settimeout(SECONDS / 6)  # the service itself would wait for more for longer
    if after:
        connection.sendall(GET_LIVE)
        assert read_responses(connection, 1)[0][0] == 200
    connection.sendall(sent + GET_LIVE)
    ((status, head, body),) = read_responses(connection, 1)
    assert status == 400
    assert b"content-type: application/json" in head
    assert b"connection: close" in head
    assert b"x-request-id: " in head
    error = json.loads(body)["error"]
    assert (error["code"], error["type"]) == ("invalid_request", "invalid_request_error")
    assert error["message"]
    assert connection.recv(1 << 16) == b""


@pytest.mark.parametrize("before", [b"", b"\r\n", b"\r\n\r\n"])
@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health/live HTTP/1.0\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nhOST:\t[::1]:80 \r\nX-A:\r\nX-B: \xe9\r\n\r\n",
        b"GET http://tests/health/live HTTP/1.1\r\nHost: tests\r\n\r\n",
        b"GET http://tests HTTP/1.1\r\nHost: tests\r\n\r\n",
        b"GET HTTP://tests:80?a=%20b HTTP/1.1\r\nHost: tests\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: tests\r\n\r\n",
        b"GET /health/live?a=%20b HTTP/1.1\r\nHost: tests\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_unusual_valid_requests_are_answered(
    connection: socket.socket, before: bytes, sent: bytes
) -> None:
    connection.sendall(before + sent)
    assert read_responses(connection, 1)[0][0] == 200


def test_options_asterisk_returns_the_methods(connection: socket.socket) -> None:
    """RFC 9110, 9.3.7. It is one of several requests on its connection."""
    connection.sendall(GET_LIVE + b"OPTIONS * HTTP/1.1\r\nHost: tests\r\n\r\n" + GET_LIVE)
    (_, options, last) = read_responses(connection, 3)
    assert options[0] == last[0] == 200
    assert b"allow: get, head, options, post" in options[1]
    assert options[2] == b""


def test_http_1_0_gets_no_100_continue(connection: socket.socket) -> None:
    request = post("/score", "Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0")
    head, _, body = request.partition(b"\r\n\r\n")
    connection.sendall(head + b"\r\n\r\n")
    connection.sendall(body)
    assert read_responses(connection, 1)[0][0] == 200


def test_a_length_may_have_leading_zeros(connection: socket.socket) -> None:
    connection.sendall(post("/score", length="0" * 5000 + str(len(json.dumps(TEXT)))))
    assert read_responses(connection, 1)[0][0] == 200


def test_garbage_after_a_request_keeps_its_response(connection: socket.socket) -> None:
    connection.sendall(post("/score") + b"\0\0garbage\r\n\r\n")
    assert read_responses(connection, 1)[0][0] == 200
    assert connection.recv(1 << 16) == b""


@pytest.mark.parametrize("body", [b"zz\r\n", b"2\r\n{}x\r\n", b"-1\r\n"])
def test_an_invalid_body_is_400_at_once(connection: socket.socket, body: bytes) -> None:
    chunked = post("/score", "Transfer-Encoding: chunked").partition(b"\r\n\r\n")[0]
    connection.settimeout(SECONDS / 6)  # the service itself would wait for the rest for longer
    connection.sendall(chunked + b"\r\n\r\n" + body)
    assert read_responses(connection, 1)[0][0] == 400
    assert connection.recv(1 << 16) == b""


def test_a_system_without_tiocoutq_counts_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """macOS is such a system."""

    class Transport(asyncio.Transport):
        def get_extra_info(self, name: str, default: object = None) -> object:
            return near if name == "socket" else default

    def ioctl(*_: object) -> bytes:
        raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")

    monkeypatch.setattr("service.http.connection.timeout_protocol.fcntl.ioctl", ioctl)
    near, far = socket.socketpair()
    with near, far:
        assert _unacknowledged_bytes(Transport()) == 0
