"""Writes of one turn of the event loop are sent together."""

import asyncio
from collections.abc import Callable

from service.http.connection.lingering import LARGE_WRITE_BYTES, LingeringTransport


class Sent(asyncio.Transport):
    """A transport that records its writes and its end."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes | str] = []

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.calls.append(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.calls.append("end")

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")


def calls(do: Callable[[LingeringTransport], None]) -> list[bytes | str]:
    async def run() -> list[bytes | str]:
        sent = Sent()
        transport = LingeringTransport(sent, asyncio.get_running_loop())
        do(transport)
        await asyncio.sleep(0)
        transport.cancel_timer()
        return sent.calls

    return asyncio.run(run())


def test_head_and_body_are_one_write() -> None:
    def answer(transport: LingeringTransport) -> None:
        transport.write(b"head ")
        transport.write(b"body")
        assert transport.get_write_buffer_size() == 9

    assert calls(answer) == [b"head body"]


def test_a_response_is_sent_before_the_end() -> None:
    def last_answer(transport: LingeringTransport) -> None:
        transport.write(b"head ")
        transport.write(b"body")
        transport.close()
        transport.write(b"nothing after it")

    assert calls(last_answer) == [b"head body", "end"]


def test_closing_sends_buffered_writes() -> None:
    def last_answer(transport: LingeringTransport) -> None:
        transport.write(b"answer")
        transport.close_without_lingering()

    assert calls(last_answer) == [b"answer", "close"]


def test_large_writes_are_not_buffered() -> None:
    large = b"x" * (LARGE_WRITE_BYTES + 1)

    def stream(transport: LingeringTransport) -> None:
        transport.write(b"head")
        transport.write(large)
        assert transport.get_write_buffer_size() == 0
        transport.write(b"end")

    assert calls(stream) == [b"head" + large, b"end"]
