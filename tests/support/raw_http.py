"""HTTP over a bare socket: bytes of requests, and the responses of a connection."""

import re
import socket

GET_LIVE = b"GET /health/live HTTP/1.1\r\nHost: tests\r\n\r\n"

# Status, head in lower case, body.
RawResponse = tuple[int, bytes, bytes]


def post_head(*lines: str, path: str = "/score") -> bytes:
    """Return the head of a POST of JSON with more header lines."""
    own = ("Host: tests", "Content-Type: application/json")
    return "\r\n".join([f"POST {path} HTTP/1.1", *own, *lines, "", ""]).encode()


def read_responses(connection: socket.socket, count: int) -> list[RawResponse]:
    """Return the next responses, each with a Content-Length; fail if more bytes follow them."""
    responses: list[RawResponse] = []
    received = b""
    while len(responses) < count:
        while b"\r\n\r\n" not in received:
            received += _receive(connection)
        head, _, received = received.partition(b"\r\n\r\n")
        length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
        while len(received) < length:
            received += _receive(connection)
        responses.append((int(head.split()[1]), head.lower(), received[:length]))
        received = received[length:]
    assert not received
    return responses


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    assert data, "the connection ended"
    return data
