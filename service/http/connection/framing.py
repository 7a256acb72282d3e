"""HeadReader: where the head of a request begins and ends (RFC 9112).

If two parties find different ends of a message in the same bytes, one client's bytes can pass as
another client's request ("request smuggling"). So an ambiguous message is rejected and never
repaired. llhttp parses the heads that pass. It reads no bodies here, because its parser takes
trailers for headers and stops at an upgrade.
"""

import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
FIELD = TOKEN + rb":[\t -~\x80-\xff]*+\r\n"
REQUEST_LINE = TOKEN + rb" [!-~]++ HTTP/1\.[01]\r\n"

FIRST_LINE = re.compile(REQUEST_LINE)
FIRST_LINES = re.compile(REQUEST_LINE + rb"(?:" + FIELD + rb")*+(?:\r\n)?")
MORE_LINES = re.compile(rb"(?:" + FIELD + rb")*+(?:\r\n)?")
PARTIAL_FIRST_LINE = re.compile(TOKEN + rb"(?: [!-~]*+(?: [HTP/.0-9]*+\r?)?)?")
# The absolute form of a request target without a path: `http://host` or `http://host?query`.
EMPTY_PATH = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*+://[^/?]++(?=\?|\Z)")

BAD_REQUEST_LINE = (
    "not an HTTP/1.1 request: its first line is not METHOD TARGET HTTP/1.1 with CRLF at its end"
)
BAD_FIELD = (
    "a header is not NAME: VALUE with CRLF at its end; it must have no space before the colon, "
    "no second line and no control characters"
)


class FramingError(Exception):
    """A message that is not HTTP/1.1. The text is the error message."""


class HeadReader:
    """Collects the bytes of a head.

    Each line is checked once, as soon as it is complete, because a client of another protocol may
    wait for a response without sending an empty line.
    """

    def __init__(self) -> None:
        self._collected = bytearray()
        self._checked_bytes = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return a whole head with its empty line and the bytes after it; None before its end.

        Raise FramingError.
        """
        if not self._collected:
            end = data.find(b"\r\n\r\n") + 4
            if end >= 4 and FIRST_LINES.fullmatch(data, 0, end):  # the usual case: all at once
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
        self._checked_bytes = 0
        return head, rest

    def _check(self, end: int) -> None:
        """Check the lines that were completed since the last call, up to byte `end`."""
        if end > self._checked_bytes:
            if not self._checked_bytes and not FIRST_LINE.match(self._collected):
                raise FramingError(BAD_REQUEST_LINE)
            expected = MORE_LINES if self._checked_bytes else FIRST_LINES
            if not expected.fullmatch(self._collected, self._checked_bytes, end):
                raise FramingError(BAD_FIELD)
            self._checked_bytes = end
            return
        is_first = self._collected and not self._checked_bytes
        if is_first and not PARTIAL_FIRST_LINE.fullmatch(self._collected):
            raise FramingError(BAD_REQUEST_LINE)


def with_path(target: bytes) -> bytes:
    """Return a request target with the path `/` if it is an absolute form without a path."""
    found = EMPTY_PATH.match(target)
    return target if found is None else found[0] + b"/" + target[found.end() :]
