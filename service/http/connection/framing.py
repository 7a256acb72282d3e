"""Where a request ends and the next one begins, as RFC 9112 has it.

Two parties that find different ends in the same bytes let one client's bytes pass for another's
request ("request smuggling"). A message that could be read in two ways is therefore refused, and
nothing of it is mended. llhttp parses the heads that pass; it frames no body, because its parser
takes trailers for headers and stops at an upgrade.
"""

import re
from typing import Protocol

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
FIELD = TOKEN + rb":[\t -~\x80-\xff]*+\r\n"
REQUEST_LINE = TOKEN + rb" [!-~]++ HTTP/1\.[01]\r\n"

FIRST_LINE = re.compile(REQUEST_LINE)
FIRST_LINES = re.compile(REQUEST_LINE + rb"(?:" + FIELD + rb")*+(?:\r\n)?")
MORE_LINES = re.compile(rb"(?:" + FIELD + rb")*+(?:\r\n)?")
BEGUN_FIRST_LINE = re.compile(TOKEN + rb"(?: [!-~]*+(?: [HTP/.0-9]*+\r?)?)?")
FRAMING_FIELDS = re.compile(rb"\r\n(host|content-length|transfer-encoding):([^\r]*+)", re.I)
HOST = re.compile(
    rb"(?:\[[0-9A-Za-z:.%\-_~]+\]|(?:[0-9A-Za-z\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+)(?::[0-9]*)?"
)
# A chunk's size in hexadecimal: 15 digits are more than any client sends, and no overflow.
CHUNK_EXTENSIONS = rb"(?:[ \t]*+;[\t -~\x80-\xff]*+)?"
CHUNK = re.compile(rb"(?=[0-9A-Fa-f])0*+([0-9A-Fa-f]{0,15})" + CHUNK_EXTENSIONS + rb"\r\n")
BEGUN_CHUNK = re.compile(rb"[0-9A-Fa-f]*+[ \t]*+" + CHUNK_EXTENSIONS + rb"\r?")

NO_REQUEST_LINE = (
    "not an HTTP/1.1 request: its first line is not METHOD TARGET HTTP/1.1 with CRLF at its end"
)
NO_FIELD = (
    "a header is not NAME: VALUE with CRLF at its end; no space may stand before the colon, no "
    "header may continue on a second line, and none may hold control characters"
)
NO_CHUNK_SIZE = "a chunk's size is not a hexadecimal number with CRLF at its end"
LONG_CHUNK = "a chunk is longer than its size says"
# A chunk costs about a microsecond: 256 KiB that came as chunks of one byte held the event loop for
# 42 ms. Clients that stream send small chunks now and then.
SMALL_CHUNK_BYTES = 64
MAX_SMALL_CHUNKS = 4096
SMALL_CHUNKS = (
    f"too many small chunks: more than {MAX_SMALL_CHUNKS} of fewer than {SMALL_CHUNK_BYTES} bytes; "
    "send larger ones"
)


class FramingError(Exception):
    """A message that is not HTTP/1.1; the text says what is wrong and what to send."""


class Body(Protocol):
    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Return the content in `data`, and what follows the body, or None before its end.

        Raises FramingError.
        """


class HeadReader:
    """Collects a head. Every line is checked once, as soon as it is there: a client that speaks
    another protocol waits for its answer and sends no empty line.
    """

    def __init__(self) -> None:
        self._collected = bytearray()
        self._checked = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return a whole head with its empty line, and what follows it; None before its end.

        Raises FramingError.
        """
        if not self._collected:
            end = data.find(b"\r\n\r\n") + 4
            if end >= 4 and FIRST_LINES.fullmatch(data, 0, end):  # all of it at once, as ever
                return data[:end], data[end:]
            data = data.lstrip(b"\r\n")  # RFC 9112, 2.2: empty lines before a request are ignored
        searched = max(0, len(self._collected) - 3)
        self._collected += data
        end = self._collected.find(b"\r\n\r\n", searched) + 4
        if end < 4:
            self._check(self._collected.rfind(b"\n") + 1)
            return None
        self._check(end)
        head, rest = bytes(self._collected[:end]), bytes(self._collected[end:])
        self._collected.clear()
        self._checked = 0
        return head, rest

    def _check(self, whole: int) -> None:
        """Check the lines that came to their end since the last time, up to `whole`."""
        if whole > self._checked:
            if not self._checked and not FIRST_LINE.match(self._collected):
                raise FramingError(NO_REQUEST_LINE)
            expected = MORE_LINES if self._checked else FIRST_LINES
            if not expected.fullmatch(self._collected, self._checked, whole):
                raise FramingError(NO_FIELD)
            self._checked = whole
        elif self._collected and not (self._checked or BEGUN_FIRST_LINE.fullmatch(self._collected)):
            raise FramingError(NO_REQUEST_LINE)


def body_of(head: bytes) -> Body:
    """Return the reader of the body that follows a head which HeadReader returned.

    Raises FramingError for a head that names no host, or two, or no clear end of the body.
    """
    found: dict[bytes, list[bytes]] = {}
    for name, value in FRAMING_FIELDS.findall(head):
        found.setdefault(name.lower(), []).append(value.strip(b" \t"))
    is_1_0 = head[: head.index(b"\r\n")].endswith(b"0")
    hosts = found.get(b"host", [])
    if len(hosts) > 1 or not (hosts or is_1_0):
        raise FramingError(f"{len(hosts)} Host headers; send exactly one")
    if hosts and not HOST.fullmatch(hosts[0]):
        raise FramingError("the Host header is not a host with an optional port")
    codings, lengths = found.get(b"transfer-encoding"), found.get(b"content-length")
    if codings is not None:
        if lengths is not None:
            raise FramingError("both Content-Length and Transfer-Encoding; send one of them")
        if is_1_0 or [coding.lower() for coding in codings] != [b"chunked"]:
            raise FramingError("Transfer-Encoding can only be chunked, and in HTTP/1.1")
        return ChunkedBody()
    if lengths is None:
        return SizedBody(0)
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]++", lengths[0]):
        raise FramingError("Content-Length is not one whole number")
    # Python refuses to convert thousands of digits; 18 of them are beyond every limit.
    digits = lengths[0].lstrip(b"0")
    return SizedBody(int(digits[:18] or b"0"))


class SizedBody:
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
    """Chunks, and the trailers after them, which are checked and dropped (RFC 9112, 7.1.2)."""

    def __init__(self) -> None:
        self._left = 0  # of the chunk's content
        self._small = 0  # chunks so far
        self._line = b""  # the part that came of a line
        self._after_content = self._in_trailers = False

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        content, at = bytearray(), 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                content += piece
                at += len(piece)
                self._left -= len(piece)
                continue
            end = data.find(b"\n", at) + 1
            self._line += data[at : end or len(data)]
            if not end:
                self._check_begun()
                break
            at, line, self._line = end, self._line, b""
            if self._in_trailers and line == b"\r\n":
                return bytes(content), data[at:]
            self._take(line)
        return bytes(content), None

    def _take(self, line: bytes) -> None:
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
                raise FramingError(NO_CHUNK_SIZE)
            self._left = int(size[1] or b"0", 16)
            self._small += self._left < SMALL_CHUNK_BYTES
            if self._small > MAX_SMALL_CHUNKS:
                raise FramingError(SMALL_CHUNKS)
            self._in_trailers = not self._left
            self._after_content = bool(self._left)

    def _check_begun(self) -> None:
        """Refuse at once what no rest of the line can mend."""
        if self._in_trailers:
            return
        if self._after_content and self._line not in (b"", b"\r"):
            raise FramingError(LONG_CHUNK)
        if not self._after_content and not BEGUN_CHUNK.fullmatch(self._line):
            raise FramingError(NO_CHUNK_SIZE)
