"""Readers of request bodies: where a body ends and the next request begins (RFC 9112, 6 and 7)."""

import re
from typing import Protocol

from service.http.connection.framing import MORE_LINES, FramingError

FRAMING_FIELDS = re.compile(rb"\r\n(host|content-length|transfer-encoding):([^\r]*+)", re.I)
HOST = re.compile(
    rb"(?:\[[0-9A-Za-z:.%\-_~]+\]|(?:[0-9A-Za-z\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+)(?::[0-9]*)?"
)
# A chunk's size in hexadecimal. 15 digits are more than any client sends, and do not overflow.
CHUNK_EXTENSIONS = rb"(?:[ \t]*+;[\t -~\x80-\xff]*+)?"
CHUNK = re.compile(rb"(?=[0-9A-Fa-f])0*+([0-9A-Fa-f]{0,15})" + CHUNK_EXTENSIONS + rb"\r\n")
PARTIAL_CHUNK = re.compile(rb"[0-9A-Fa-f]*+[ \t]*+" + CHUNK_EXTENSIONS + rb"\r?")

BAD_CHUNK_SIZE = "a chunk's size is not a hexadecimal number with CRLF at its end"
LONG_CHUNK = "a chunk is longer than its size"
# A chunk costs about a microsecond: 256 KiB in chunks of one byte blocked the event loop for 42 ms.
# Clients that stream send a small chunk now and then.
SMALL_CHUNK_BYTES = 64
MAX_SMALL_CHUNKS = 4096
SMALL_CHUNKS = (
    f"too many small chunks: more than {MAX_SMALL_CHUNKS} of fewer than {SMALL_CHUNK_BYTES} bytes; "
    "send larger ones"
)


class BodyReader(Protocol):
    """Finds the end of a body in the bytes that follow its head."""

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Return the content in `data`, and the bytes after the body, or None before its end.

        Raise FramingError.
        """


def body_reader(head: bytes) -> BodyReader:
    """Return the reader of the body that follows a head which HeadReader returned.

    Raise FramingError if the head does not have exactly one host, or no clear end of the body.
    """
    fields: dict[bytes, list[bytes]] = {}
    for name, value in FRAMING_FIELDS.findall(head):
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    is_1_0 = head[: head.index(b"\r\n")].endswith(b"0")
    hosts = fields.get(b"host", [])
    if len(hosts) > 1 or not (hosts or is_1_0):
        raise FramingError(f"{len(hosts)} Host headers; send exactly one")
    if hosts and not HOST.fullmatch(hosts[0]):
        raise FramingError("the Host header is not a host with an optional port")
    codings, lengths = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    if codings is not None:
        if lengths is not None:
            raise FramingError("both Content-Length and Transfer-Encoding; send one of them")
        if is_1_0 or [coding.lower() for coding in codings] != [b"chunked"]:
            raise FramingError("Transfer-Encoding can only be chunked, and only in HTTP/1.1")
        return ChunkedBody()
    if lengths is None:
        return SizedBody(0)
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]++", lengths[0]):
        raise FramingError("Content-Length is not one whole number")
    # Python refuses to convert thousands of digits; 18 of them are beyond every limit.
    digits = lengths[0].lstrip(b"0")
    return SizedBody(int(digits[:18] or b"0"))


class SizedBody:
    """A body with a Content-Length; `left` bytes are still to come."""

    def __init__(self, size: int) -> None:
        self.left = size

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        if len(data) < self.left:
            self.left -= len(data)
            return data, None
        content, rest = data[: self.left], data[self.left :]
        self.left = 0
        return content, rest


class ChunkedBody:
    """A chunked body. Trailers after it are checked and discarded (RFC 9112, 7.1.2)."""

    def __init__(self) -> None:
        self._left = 0  # bytes of the chunk's content
        self._small_chunks = 0
        self._line = b""  # the received part of a line
        self._after_content = self._in_trailers = False

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        content, at = bytearray(), 0
        while at < len(data):
            if self._left:
                part = data[at : at + self._left]
                content += part
                at += len(part)
                self._left -= len(part)
                continue
            end = data.find(b"\n", at) + 1
            self._line += data[at : end or len(data)]
            if not end:
                self._check_partial_line()
                break
            at, line, self._line = end, self._line, b""
            if self._in_trailers and line == b"\r\n":
                return bytes(content), data[at:]
            self._take_line(line)
        return bytes(content), None

    def _take_line(self, line: bytes) -> None:
        if self._in_trailers:
            if not MORE_LINES.fullmatch(line):
                raise FramingError("a trailer is not NAME: VALUE with CRLF at its end")
        elif self._after_content:
            if line != b"\r\n":
                raise FramingError(LONG_CHUNK)
            self._after_content = False
        else:
            size = CHUNK.fullmatch(line)
            if size is None:
                raise FramingError(BAD_CHUNK_SIZE)
            self._left = int(size[1] or b"0", 16)
            self._small_chunks += self._left < SMALL_CHUNK_BYTES
            if self._small_chunks > MAX_SMALL_CHUNKS:
                raise FramingError(SMALL_CHUNKS)
            self._in_trailers = not self._left
            self._after_content = bool(self._left)

    def _check_partial_line(self) -> None:
        """Raise FramingError if no rest of the line can make it valid."""
        if self._in_trailers:
            return
        if self._after_content and self._line not in (b"", b"\r"):
            raise FramingError(LONG_CHUNK)
        if not self._after_content and not PARTIAL_CHUNK.fullmatch(self._line):
            raise FramingError(BAD_CHUNK_SIZE)
