"""LingeringTransport: a transport that closes so that the last response reaches the client.

The kernel resets a socket that is closed while received data is unread, and the reset deletes the
response from the client's buffer. So the transport first ends writing, then reads and discards, and
closes when the client closes, or after a time or an amount (RFC 9112, 9.6; nginx's
`lingering_close`).
"""

import asyncio
from typing import Any

# nginx's `lingering_time` and `lingering_timeout`: in total, and without a byte from the client.
LINGER_SECONDS = 30.0
SILENT_SECONDS = 5.0
# Twice the largest request that a client is likely to try.
LINGER_BYTES = 128 << 20
# A larger chunk of a stream is written at once, without waiting for more.
LARGE_WRITE_BYTES = 64 << 10


class LingeringTransport(asyncio.Transport):
    """A wrapper of a connection's transport.

    Its protocol calls `discard` for data that is received after `close`, and `cancel_timer` when
    the connection is lost.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._closing = False
        self._discarded_bytes = 0
        self._unwritten: list[bytes] = []
        self._linger_seconds = self._sent_at = self._received_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """End writing after what is buffered, and linger."""
        if self.is_closing():
            return
        if not self._transport.can_write_eof():
            self._flush()
            self._transport.close()
            return
        self._closing = True
        self._flush()
        try:
            self._transport.write_eof()
        except OSError:  # the client has left
            self._transport.abort()
            return
        self._transport.resume_reading()
        self._linger_seconds = LINGER_SECONDS
        self._sent_at = self._received_at = self._loop.time()
        self._check_deadline()

    def close_without_lingering(self) -> None:
        """Close after what is buffered. Use it if no response is pending."""
        if not self.is_closing():
            self._flush()
            self._transport.close()

    def limit_linger(self, seconds: float) -> None:
        """Linger for at most `seconds` from now on."""
        if self._closing and not self._transport.is_closing():
            elapsed = self._loop.time() - self._sent_at
            self._linger_seconds = min(self._linger_seconds, elapsed + seconds)
            self._check_deadline()

    def discard(self, count: int) -> None:
        """Count received bytes that are not used; abort the connection above LINGER_BYTES."""
        self._received_at = self._loop.time()
        self._discarded_bytes += count
        if self._discarded_bytes > LINGER_BYTES:
            self.abort()

    def cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    def write(self, data: Any) -> None:
        """Collect the writes of one turn of the event loop and send them with one system call.

        uvicorn writes head and body of a response separately, and a system call costs as much as a
        fifth of a 429 response.
        """
        if self.is_closing():
            return
        self._unwritten.append(data)
        if len(self._unwritten) == 1:
            self._loop.call_soon(self._flush)
        elif len(data) > LARGE_WRITE_BYTES:
            self._flush()

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._unwritten)) + self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        if not self.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def _flush(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        if unwritten and not self._transport.is_closing():
            self._transport.write(b"".join(unwritten))

    def _check_deadline(self) -> None:
        """Abort at the deadline, which counts from when the whole response was sent."""
        self.cancel_timer()
        now = self._loop.time()
        if self.get_write_buffer_size():
            self._sent_at = self._received_at = now
        deadline = min(self._sent_at + self._linger_seconds, self._received_at + SILENT_SECONDS)
        if deadline > now:
            self._timer = self._loop.call_later(deadline - now, self._check_deadline)
        else:
            self.abort()
