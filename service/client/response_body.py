"""The content of an answer, unpacked while it comes and never more of it than is allowed.

Whatever answers at an address may be anything: a proxy, another program, an attacker. What is read
of it is bounded in memory and in time, also where a small answer unpacks to a large one.
"""

import math
import time
import zlib

import httpx

MIB = 1 << 20
# The service's largest answer by default: a million alternatives of about 100 bytes.
MAX_ANSWER_BYTES = 128 * MIB
# How many timeouts an answer may take from its head to its end.
MOST_TIMEOUTS = 10
DIGITS = 20  # of a length that can be read as a number
# The service packs nothing, a proxy may. All else that httpx unpacks has no bound on a piece.
ACCEPTED = "gzip"
GZIP_WINDOW = zlib.MAX_WBITS | 16
# Python needs 64 to 250 bytes for an object that JSON writes in two, so that an answer beyond this
# share of the largest must not be dense. The service writes at least 48 bytes an object.
DENSE_FROM_SHARE = 8
BYTES_AN_OBJECT = 32
BYTES_A_VALUE = 8
# How `exchange` finds what is wrong with a content.
PROBLEM = "tiedlm_problem"


class Receiving:
    """The raw bytes of one answer, read until `add` returns False."""

    def __init__(self, head: httpx.Response, max_bytes: int, timeout_seconds: float | None) -> None:
        self._head = head
        self._max_bytes = max_bytes
        seconds = math.inf if timeout_seconds is None else MOST_TIMEOUTS * timeout_seconds
        self._until = time.monotonic() + seconds
        self._content = bytearray()
        self._came = 0
        self._problem: str | None = None
        # A transport that is no network, such as httpx's mock, may have read and unpacked it.
        self.already_read = head.is_stream_consumed
        packed = "" if self.already_read else head.headers.get("Content-Encoding", "")
        coding = packed.strip().lower()
        self._unpacking = zlib.decompressobj(GZIP_WINDOW) if coding == ACCEPTED else None
        if coding not in (ACCEPTED, "identity", ""):
            self._problem = "is packed in a format that the client did not ask for"
        length = head.headers.get("Content-Length", "")
        if length.isdecimal() and (len(length) > DIGITS or int(length) > max_bytes):
            self._problem = self._too_large

    def add(self, piece: bytes) -> bool:
        """Return whether more is wanted."""
        self._came += len(piece)
        if self._problem is None and self._came > self._max_bytes:
            self._problem = self._too_large
        if self._problem is None and time.monotonic() > self._until:
            self._problem = "has not ended after ten times timeout_seconds"
        if self._problem is None:
            self._unpack(piece)
        return self._problem is None

    def _unpack(self, piece: bytes) -> None:
        left = self._max_bytes - len(self._content)
        if self._unpacking is None:
            self._content += piece
        elif not self._unpacking.eof:
            try:
                self._content += self._unpacking.decompress(piece, left + 1)
            except zlib.error:
                self._problem = "is damaged: it cannot be unpacked"
        if len(self._content) > self._max_bytes:
            self._problem = self._too_large

    @property
    def _too_large(self) -> str:
        return f"is larger than {self._max_bytes:,} bytes, the client's max_answer_bytes"

    def ended(self) -> httpx.Response:
        """The answer with its whole content, or without it and with the problem named."""
        if self._came and self._problem is None and self._unpacking and not self._unpacking.eof:
            self._problem = "is damaged: its end is missing"
        dense_from = max(self._max_bytes, MAX_ANSWER_BYTES) // DENSE_FROM_SHARE
        if self._problem is None and len(self._content) > dense_from and _is_dense(self._content):
            self._problem = (
                "holds too many JSON values for its size; raise max_answer_bytes if the service "
                "sent it"
            )
        headers = [
            (name, value)
            for name, value in self._head.headers.multi_items()
            if name.lower() not in ("content-encoding", "content-length", "transfer-encoding")
        ]
        return httpx.Response(
            self._head.status_code,
            headers=headers,
            content=b"" if self._problem else bytes(self._content),
            request=self._head.request,
            extensions={PROBLEM: self._problem} if self._problem else {},
        )


def _is_dense(content: bytearray) -> bool:
    """Whether the values of a JSON text take many times its own memory."""
    objects = content.count(b"{") + content.count(b"[")
    values = objects + content.count(b",")
    return objects * BYTES_AN_OBJECT > len(content) or values * BYTES_A_VALUE > len(content)
