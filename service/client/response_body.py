"""The body of a response, decompressed while it arrives and bounded in memory and time.

Any program may answer at the address: a proxy, another service, an attacker. A small body may
decompress to a large one, and a body may never end.
"""

import math
import time
import zlib

import httpx

MIB = 1 << 20
# The service's largest body by default: a million alternatives of about 100 bytes.
MAX_ANSWER_BYTES = 128 * MIB
# A whole body may take as many times `timeout_seconds`.
MAX_TIMEOUTS = 10
# A longer Content-Length is not parsed, because parsing long integers is slow.
MAX_LENGTH_DIGITS = 20
# The service compresses nothing, but a proxy may. For its other encodings, httpx does not limit
# the decompressed size of a chunk.
ACCEPTED_ENCODING = "gzip"
GZIP_WINDOW_BITS = zlib.MAX_WBITS | 16
# Python needs 64 to 250 bytes for an object that takes two bytes of JSON. A body above this share
# of the largest one must therefore not be dense. The service sends at least 48 bytes per object.
DENSITY_CHECK_SHARE = 8
MIN_BYTES_PER_OBJECT = 32
MIN_BYTES_PER_VALUE = 8
# The httpx extension under which `retries` finds the reason why a body is missing.
BODY_PROBLEM = "tiedlm_body_problem"


class ResponseBody:
    """The bytes of one response. Add raw chunks until `add` returns False."""

    def __init__(
        self, response: httpx.Response, max_bytes: int, timeout_seconds: float | None
    ) -> None:
        self._response = response
        self._max_bytes = max_bytes
        seconds = math.inf if timeout_seconds is None else MAX_TIMEOUTS * timeout_seconds
        self._deadline = time.monotonic() + seconds
        self._content = bytearray()
        self._received_bytes = 0
        self._problem: str | None = None
        # A transport without a network, such as httpx's mock, may have read and decompressed it.
        self.already_read = response.is_stream_consumed
        encoding = "" if self.already_read else response.headers.get("Content-Encoding", "")
        encoding = encoding.strip().lower()
        is_gzip = encoding == ACCEPTED_ENCODING
        self._decompressor = zlib.decompressobj(GZIP_WINDOW_BITS) if is_gzip else None
        if encoding not in (ACCEPTED_ENCODING, "identity", ""):
            self._problem = "has a Content-Encoding that the client did not request"
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and (len(length) > MAX_LENGTH_DIGITS or int(length) > max_bytes):
            self._problem = self._too_large

    def add(self, chunk: bytes) -> bool:
        """Append a raw chunk and return whether to read another one."""
        self._received_bytes += len(chunk)
        if self._problem is None and self._received_bytes > self._max_bytes:
            self._problem = self._too_large
        if self._problem is None and time.monotonic() > self._deadline:
            self._problem = f"took longer than {MAX_TIMEOUTS} times timeout_seconds"
        if self._problem is None:
            self._decompress(chunk)
        return self._problem is None

    def _decompress(self, chunk: bytes) -> None:
        remaining_bytes = self._max_bytes - len(self._content)
        if self._decompressor is None:
            self._content += chunk
        elif not self._decompressor.eof:
            try:
                self._content += self._decompressor.decompress(chunk, remaining_bytes + 1)
            except zlib.error:
                self._problem = "is damaged: it is not valid gzip"
        if len(self._content) > self._max_bytes:
            self._problem = self._too_large

    @property
    def _too_large(self) -> str:
        return f"is larger than {self._max_bytes:,} bytes, the client's max_answer_bytes"

    def to_response(self) -> httpx.Response:
        """Return the response with its whole body, or with no body and `BODY_PROBLEM`."""
        self._check_complete()
        headers = [
            (name, value)
            for name, value in self._response.headers.multi_items()
            if name.lower() not in ("content-encoding", "content-length", "transfer-encoding")
        ]
        return httpx.Response(
            self._response.status_code,
            headers=headers,
            content=b"" if self._problem else bytes(self._content),
            request=self._response.request,
            extensions={BODY_PROBLEM: self._problem} if self._problem else {},
        )

    def _check_complete(self) -> None:
        if self._problem is not None:
            return
        if self._received_bytes and self._decompressor and not self._decompressor.eof:
            self._problem = "is truncated: the gzip stream has no end"
            return
        check_from_bytes = max(self._max_bytes, MAX_ANSWER_BYTES) // DENSITY_CHECK_SHARE
        if len(self._content) > check_from_bytes and _is_dense(self._content):
            self._problem = (
                "has too many JSON values for its size; raise max_answer_bytes if the service "
                "sent it"
            )


def _is_dense(content: bytearray) -> bool:
    """Return whether the values of a JSON text need many times its own memory."""
    objects = content.count(b"{") + content.count(b"[")
    values = objects + content.count(b",")
    return objects * MIN_BYTES_PER_OBJECT > len(content) or values * MIN_BYTES_PER_VALUE > len(
        content
    )
