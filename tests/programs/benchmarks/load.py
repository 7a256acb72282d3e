"""The closed-loop load generator, a process of its own, which prints one JSON line.

    python -m tests.programs.benchmarks.load ...

It sends plain HTTP/1.1 over persistent connections. Each connection sends its next request when the
last response is complete. The generator does as little as possible: bodies are bytes from the start
and responses are only counted. If `generator_cpu` is near 1, the generator was the limit.
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import uvloop

from service.runtime.startup import print_any_text


@dataclass
class Tally:
    latencies: list[float] = field(default_factory=list)
    tokens: int = 0
    errors: int = 0


class Connection(asyncio.Protocol):
    """Sends requests one after another until `end`, then resolves `done`."""

    def __init__(self, requests: list[tuple[int, bytes]], first: int, end: float, tally: Tally):
        self.requests, self.next, self.end, self.tally = requests, first, end, tally
        self.done = asyncio.get_running_loop().create_future()
        self.buffer = b""
        self.missing = -1  # missing bytes of the response; −1 until its headers are complete
        self.waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transport is not a subclass
        self.send()

    def send(self) -> None:
        self.tokens, request = self.requests[self.next % len(self.requests)]
        self.next += 1
        self.begun, self.waiting = time.perf_counter(), True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.missing < 0:
            self.buffer += data
            head, separator, body = self.buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            self.ok = head.startswith(b"HTTP/1.1 200")
            at = head.lower().index(b"content-length:") + 15
            self.missing = int(head[at:].split(b"\r\n", 1)[0]) - len(body)
            self.buffer = b""
        else:
            self.missing -= len(data)
        if self.missing == 0:
            self.answered()

    def answered(self) -> None:
        self.missing, self.waiting = -1, False
        now = time.perf_counter()
        if self.ok:
            self.tally.latencies.append(now - self.begun)
            self.tally.tokens += self.tokens
        else:
            self.tally.errors += 1
        if now < self.end:
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self.tally.errors += self.waiting  # its response will not arrive
        if not self.done.done():
            self.done.set_result(None)


async def load(
    port: int, requests: list[tuple[int, bytes]], concurrency: int, seconds: float
) -> dict[str, float]:
    tally = Tally()
    loop = asyncio.get_running_loop()
    begun, cpu = time.perf_counter(), cpu_seconds()
    end = begun + seconds
    connections = []
    for index in range(concurrency):
        first = index * len(requests) // concurrency
        _, connection = await loop.create_connection(
            partial(Connection, requests, first, end, tally), "127.0.0.1", port
        )
        connections.append(connection)
    await asyncio.gather(*(connection.done for connection in connections))
    wall = time.perf_counter() - begun
    latencies = sorted(tally.latencies) or [float("nan")]

    def percentile(share: float) -> float:
        return latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1e3

    return {
        "requests_per_second": len(tally.latencies) / wall,
        "tokens_per_second": tally.tokens / wall,
        "tokens": tally.tokens,
        "p50": percentile(0.5),
        "p95": percentile(0.95),
        "p99": percentile(0.99),
        "errors": tally.errors,
        "generator_cpu": (cpu_seconds() - cpu) / wall,
    }


def request_bytes(path: str, body: dict[str, object]) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def cpu_seconds() -> float:
    """Return the CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def generator_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the arguments that both generators share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--payloads", type=Path, required=True, help="JSON lines: [tokens, body]")
    parser.add_argument("--seconds", type=float, required=True)
    return parser


def read_requests(options: argparse.Namespace) -> list[tuple[int, bytes]]:
    """Return the number of tokens and the bytes of each request."""
    lines = [json.loads(line) for line in options.payloads.read_text().splitlines()]
    return [(tokens, request_bytes(options.path, body)) for tokens, body in lines]


def main() -> int:
    print_any_text()
    parser = generator_parser(__doc__)
    parser.add_argument("--concurrency", type=int, required=True)
    options = parser.parse_args()
    requests = read_requests(options)
    work = load(options.port, requests, options.concurrency, options.seconds)
    print(json.dumps(uvloop.run(work)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
