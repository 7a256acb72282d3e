"""Framing: requests begin and end at the same bytes, however they are split."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.http.connection.framing import FramingError, HeadReader
from service.http.connection.message_body import (
    MAX_SMALL_CHUNKS,
    ChunkedBody,
    SizedBody,
    body_reader,
)

HEAD = b"POST /score HTTP/1.1\r\nHost: tests\r\n%s\r\n"
CONTENT = b"the old river"


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    for begin, end in pairwise(bounds):
        yield data[begin:end]


def read_head(pieces: Iterator[bytes]) -> tuple[bytes, bytes] | None:
    reader = HeadReader()
    for piece in pieces:
        if (found := reader.feed(piece)) is not None:
            head, rest = found
            return head, rest + b"".join(pieces)
    return None


def read_body(body: SizedBody | ChunkedBody, pieces: Iterator[bytes]) -> tuple[bytes, bytes | None]:
    content = b""
    for piece in pieces:
        more, rest = body.feed(piece)
        content += more
        if rest is not None:
            return content, rest + b"".join(pieces)
    return content, None


places = st.lists(st.integers(0, 1000), max_size=20)


@given(places, st.sampled_from([b"", b"\r\n", b"\r\n\r\n\r\n"]), st.binary(max_size=50))
def test_a_head_ends_at_its_empty_line(at: list[int], before: bytes, after: bytes) -> None:
    head = HEAD % b"X-A: b\r\nX-C:\t d \r\n"
    found = read_head(cut(before + head + after, at))
    assert found == (head, after)


@given(places)
def test_a_head_without_its_empty_line_is_incomplete(at: list[int]) -> None:
    assert read_head(cut((HEAD % b"")[:-1], at)) is None


@given(places, st.binary(max_size=50))
def test_a_sized_body_has_its_size(at: list[int], after: bytes) -> None:
    body = body_reader(HEAD % b"Content-Length: 13\r\n")
    assert isinstance(body, SizedBody)
    assert read_body(body, cut(CONTENT + after, at)) == (CONTENT, after)


trailers = st.lists(
    st.sampled_from(
        [
            b"Connection: close\r\n",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Upgrade: h2c\r\n",
            b"X: \xe9\r\n",
        ]
    ),
    max_size=5,
)
extensions = st.sampled_from([b"", b";a", b' ; a="b c"', b";" + b"x" * 99])


@given(st.lists(st.binary(min_size=1, max_size=30)), extensions, trailers, places, st.binary())
def test_chunks_are_joined_and_trailers_discarded(
    chunks: list[bytes], extension: bytes, after_chunks: list[bytes], at: list[int], after: bytes
) -> None:
    sent = [b"%04x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks]
    message = b"".join([*sent, b"0", extension, b"\r\n", *after_chunks, b"\r\n"])
    read = read_body(ChunkedBody(), cut(message + after, at))
    assert read == (b"".join(chunks), after)


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1), places)
def test_chunks_without_the_last_are_incomplete(chunks: list[bytes], at: list[int]) -> None:
    message = b"".join(b"%X\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    assert read_body(ChunkedBody(), cut(message, at)) == (b"".join(chunks), None)
    assert read_body(ChunkedBody(), cut(message + b"0\r\nA: b\r\n", at))[1] is None


@pytest.mark.parametrize(
    "message",
    [
        b"zz\r\n",
        b"z",
        b"-1\r\n",
        b"+2\r\n{}\r\n",
        b"0x2\r\n{}\r\n",
        b" 2\r\n{}\r\n",
        b"2 \r\n{}\r\n",
        b"2_0\r\n",
        b"\r\n",
        b";a\r\n",
        b"2\n{}\n",
        b"2\r{}",
        b"2\r\n{}x",
        b"2\r\n{}x\r\n",
        b"2\r\n{}\n",
        b"2\r\n{}\r\r\n",
        b"2;\x00\r\n{}\r\n",
        b"ffffffffffffffff\r\n",
        b"10000000000000002\r\n",
        b"0\r\nA b\r\n\r\n",
        b"0\r\nA : b\r\n\r\n",
        b"0\r\nA: b\n\r\n",
        b"0\r\nA: b\r\n c\r\n\r\n",
    ],
)
@given(at=places)
def test_ambiguous_chunks_are_rejected(message: bytes, at: list[int]) -> None:
    with pytest.raises(FramingError):
        read_body(ChunkedBody(), cut(message, at))


LINES = [b"Host: tests\r\n", b"Accept: */*\r\n"]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /\r\n",
        b"GET /",
        b"GET / HTTP/0.9\r\n",
        b"GET / HTTP/2.0\r\nHost: t\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.10\r\n",
        b"GET / http/1.1\r\n",
        b"GET / HTTPS/1.1\r\n",
        b"OPTIONS * RTSP/1.0\r\n",
        b"SOURCE /mount ICE/1.0\r\n",
        b"GET  / HTTP/1.1\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"GET\t/\tHTTP/1.1\r\n",
        b" GET / HTTP/1.1\r\n",
        b"GET /a b HTTP/1.1\r\n",
        b"GET /\xe9 HTTP/1.1\r\n",
        b"GET / HTTP/1.1\nHost: t\n\n",
        b"GET / HTTP/1.1\rHost: t\r\r",
        b"\x16\x03\x01\x02\x00\x01",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"EHLO mail\r\n",
        b'{"text": "a"}\r\n',
    ],
)
@given(at=places)
def test_other_protocols_are_rejected_at_once(head: bytes, at: list[int]) -> None:
    """Most of these clients never send an empty line, so they would wait for ever."""
    if head == b"GET /":
        assert read_head(cut(head, at)) is None
        return
    with pytest.raises(FramingError):
        read_head(cut(head, at))


@pytest.mark.parametrize(
    "line",
    [
        b"A : b\r\n",
        b"A\t: b\r\n",
        b" A: b\r\n",
        b"A: b\r\n c\r\n",
        b"A: b\r\n\tc\r\n",
        b"A: b\n",
        b"A: b\rC: d\r\n",
        b"A: b\0\r\n",
        b"A: b\x7f\r\n",
        b": b\r\n",
        b"A\r\n",
        b"A(b): c\r\n",
        b"\xc3\xa9: c\r\n",
    ],
)
@pytest.mark.parametrize("first", [True, False])
@given(at=places)
def test_an_ambiguous_header_is_rejected(line: bytes, first: bool, at: list[int]) -> None:
    lines = [line, *LINES] if first else [*LINES, line]
    with pytest.raises(FramingError):
        read_head(cut(b"GET / HTTP/1.1\r\n" + b"".join(lines) + b"\r\n", at))


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"Host: a\r\nHost: a\r\n",
        b"Host: a\r\nhost: b\r\n",
        b"Host: a b\r\n",
        b"Host: a/b\r\n",
        b"Host: user@a\r\n",
        b"Host: a:b\r\n",
        b"Host: \xe9\r\n",
        b"Host: [::1\r\n",
        b"Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
        b"Host: a\r\nTransfer-Encoding: chunked, gzip\r\n",
        b"Host: a\r\nTransfer-Encoding: gzip\r\n",
        b"Host: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        b"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Host: a\r\nTransfer-Encoding: chunked, chunked\r\n",
        b"Host: a\r\nTransfer-Encoding: identity\r\n",
        b"Host: a\r\nTransfer-Encoding:\r\n",
        b"Host: a\r\nTransfer-Encoding: xchunked\r\n",
        b"Host: a\r\nTransfer-Encoding: \x0bchunked\r\n",
        b"Host: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        b"Host: a\r\nContent-Length: 5\r\ncontent-length: 5\r\n",
        b"Host: a\r\nContent-Length: 5, 5\r\n",
        b"Host: a\r\nContent-Length: +5\r\n",
        b"Host: a\r\nContent-Length: -5\r\n",
        b"Host: a\r\nContent-Length: 0x5\r\n",
        b"Host: a\r\nContent-Length: 5 5\r\n",
        b"Host: a\r\nContent-Length: 5.0\r\n",
        b"Host: a\r\nContent-Length: 1_0\r\n",
        b"Host: a\r\nContent-Length: \xb2\r\n",
        b"Host: a\r\nContent-Length:\r\n",
    ],
)
def test_an_ambiguous_body_is_rejected(lines: bytes) -> None:
    with pytest.raises(FramingError):
        body_reader(b"POST / HTTP/1.1\r\n%b\r\n" % lines)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_http_1_0_has_no_chunks(version: bytes) -> None:
    plain = b"GET / HTTP/%b\r\n\r\n" % version
    chunked = b"POST / HTTP/%b\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n" % version
    if version == b"1.0":
        assert body_reader(plain).feed(b"next") == (b"", b"next")
    else:
        assert isinstance(body_reader(chunked), ChunkedBody)
    with pytest.raises(FramingError):
        body_reader(chunked if version == b"1.0" else plain)


@pytest.mark.parametrize(
    "host",
    [
        b"a",
        b"",
        b"127.0.0.1:8000",
        b"[::1]:8000",
        b"[fe80::1%25eth0]",
        b"my_service.default.svc:80",
        b"xn--bcher-kva.example",
        b"a%20b:",
    ],
)
def test_a_host_is_a_name_or_an_address(host: bytes) -> None:
    body_reader(b"GET / HTTP/1.1\r\nHOST:%b \r\n\r\n" % host)


def test_a_length_may_have_any_number_of_digits() -> None:
    zeros = body_reader(HEAD % (b"Content-Length: %b13\r\n" % (b"0" * 5000)))
    assert zeros.feed(CONTENT + b"next") == (CONTENT, b"next")
    endless = body_reader(HEAD % (b"Content-Length: %b\r\n" % (b"9" * 5000)))
    assert endless.feed(CONTENT) == (CONTENT, None)


def chunks_of(size: int, count: int) -> bytes:
    return (b"%x\r\n" % size + b" " * size + b"\r\n") * count


@pytest.mark.parametrize("size", [1, 63])
def test_too_many_small_chunks_are_rejected(size: int) -> None:
    body = ChunkedBody()
    body.feed(chunks_of(size, MAX_SMALL_CHUNKS))
    with pytest.raises(FramingError, match="too many small chunks"):
        body.feed(chunks_of(size, 1))


@pytest.mark.parametrize("size", [64, 1000])
def test_any_number_of_larger_chunks_is_accepted(size: int) -> None:
    message = chunks_of(1, 1000) + chunks_of(size, 2 * MAX_SMALL_CHUNKS)
    content, rest = ChunkedBody().feed(message + b"0\r\n\r\n")
    assert len(content) == 1000 + size * 2 * MAX_SMALL_CHUNKS
    assert rest == b""
