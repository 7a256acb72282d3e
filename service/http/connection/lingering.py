"""Closing a connection so that the last answer reaches a client that still sends.

A socket that is closed while data waits to be read is reset, and the reset removes the answer from
the other side's buffer. RFC 9112, 9.6, and nginx's `lingering_close` therefore end writing, read
and drop what comes, and close when the client closes, or after a time or an amount.
"""

import asyncio
from typing import Any

# nginx's `lingering_time` and `lingering_timeout`: in all, and without a byte from the client.
LINGER_SECONDS = 30.0
SILENT_SECONDS = 5.0
# Twice the largest request that a client is likely to try.
LINGER_BYTES = 128 << 20
# Larger pieces of a stream are handed on without waiting for more.
LARGE_WRITE_BYTES = 64 << 10


class LingeringTransport(asyncio.Transport):
    """Wraps a connection's transport. Its protocol calls `drop` for data that comes after `close`,
    and `lost` at the end.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._closing = False
        self._dropped = 0
        self._held: list[bytes] = []
        self._seconds = self._sent = self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """End writing after what waits to be sent, and read on for a while."""
        if self.is_closing():
            return
        if not self._transport.can_write_eof():
            self._send()
            self._transport.close()
            return
        self._closing = True
        self._send()
        try:
            self._transport.write_eof()
        except OSError:  # the client has left
            self._transport.abort()
            return
        self._transport.resume_reading()
        self._seconds = LINGER_SECONDS
        self._sent = self._heard = self._loop.time()
        self._look()

    def close_at_once(self) -> None:
        """Close after what waits to be sent: for a connection on which no answer is owed."""
        if not self.is_closing():
            self._send()
            self._transport.close()

    def hurry(self, seconds: float) -> None:
        """Do not linger for longer than this from now on."""
        if self._closing and not self._transport.is_closing():
            self._seconds = min(self._seconds, self._loop.time() - self._sent + seconds)
            self._look()

    def drop(self, count: int) -> None:
        """Count bytes that came and are not used; more than LINGER_BYTES end the connection."""
        self._heard = self._loop.time()
        self._dropped += count
        if self._dropped > LINGER_BYTES:
            self.abort()

    def lost(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    def write(self, data: Any) -> None:
        """Send what is written in one turn of the event loop at once: uvicorn writes an answer's
        head and body apart, and each call of the kernel costs as much as a fifth of a 429.
        """
        if self.is_closing():
            return
        self._held.append(data)
        if len(self._held) == 1:
            self._loop.call_soon(self._send)
        elif len(data) > LARGE_WRITE_BYTES:
            self._send()

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._held)) + self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        if not self.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def _send(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))

    def _look(self) -> None:
        """Close when the time is over; it runs from when all of the answer was sent."""
        self.lost()
        now = self._loop.time()
        if self.get_write_buffer_size():
            self._sent = self._heard = now
        left = min(self._sent + self._seconds, self._heard + SILENT_SECONDS) - now
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self.abort()
