"""Tests of the load generator: a request without a response counts as an error."""

import asyncio

from tests.programs.benchmarks.load import load

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CLIENTS, ANSWERS = 4, 2


def test_dropped_requests_are_errors() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(ANSWERS):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async def measure() -> dict[str, float]:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await load(port, [(5, b"GET / HTTP/1.1\r\n\r\n")], CLIENTS, 60.0)

    seen = asyncio.run(measure())
    assert seen["errors"] == CLIENTS
    assert seen["tokens"] == 5 * CLIENTS * ANSWERS
