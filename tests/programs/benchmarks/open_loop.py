"""The open-loop load generator, a process of its own, which prints one JSON line.

    python -m tests.programs.benchmarks.open_loop ...

Requests arrive as a Poisson process that does not depend on the responses. A latency counts from
the moment at which the request was *due*, so that a server that delays the generator does not look
faster. If `generator_cpu` is near 1, the generator was the limit and not the server.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import uvloop

from service.runtime.startup import print_any_text
from tests.programs.benchmarks.load import cpu_seconds, generator_parser, read_requests

# Far below the server's 5 s, because a request on a closing connection would be lost.
IDLE_SECONDS = 2.0
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    due: float
    tokens: int
    content: bytes


@dataclass
class Tally:
    statuses: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    tokens: int = 0

    def answered(self, status: str, request: Request, now: float) -> None:
        self.statuses[status] += 1
        self.latencies.setdefault(status, []).append(now - request.due)
        if status == "200":
            self.tokens += request.tokens

    def percentile(self, status: str, share: float) -> float:
        """Return a percentile in milliseconds."""
        found = sorted(self.latencies.get(status, []))
        return found[min(len(found) - 1, int(share * len(found)))] * 1e3 if found else float("nan")


class Connection(asyncio.Protocol):
    """A connection with one request at a time; it notifies `pool` of its response or its end."""

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.request: Request | None = None
        self.idle_since = 0.0
        self.buffer = b""
        self.missing = -1  # missing bytes of the response; −1 until its headers are complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transport is not a subclass

    def send(self, request: Request) -> None:
        self.request = request
        self.transport.write(request.content)

    def data_received(self, data: bytes) -> None:
        if self.missing < 0:
            self.buffer += data
            head, separator, body = self.buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            self.status = head[9:12].decode()
            at = head.lower().index(b"content-length:") + 15
            self.missing = int(head[at:].split(b"\r\n", 1)[0]) - len(body)
            self.buffer = b""
        else:
            self.missing -= len(data)
        if self.missing == 0:
            self.missing = -1
            request, self.request = self.request, None
            assert request is not None
            self.pool.answered(self, self.status, request)

    def connection_lost(self, _: Exception | None) -> None:
        self.pool.lost(self)


class Pool:
    """Connections on demand up to a limit; further requests wait here."""

    def __init__(self, port: int, limit: int, tally: Tally) -> None:
        self.port, self.limit, self.tally = port, limit, tally
        self.idle: list[Connection] = []
        self.waiting: deque[Request] = deque()
        self.open = self.most_open = self.outstanding = 0
        self.tasks: set[asyncio.Task[None]] = set()

    def send(self, request: Request) -> None:
        self.outstanding += 1
        while self.idle:
            connection = self.idle.pop()
            if connection.transport.is_closing():
                continue
            if time.perf_counter() - connection.idle_since > IDLE_SECONDS:
                connection.transport.close()
                continue
            connection.send(request)
            return
        if self.open >= self.limit:
            self.waiting.append(request)
            return
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        task = asyncio.create_task(self.connect(request))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def connect(self, request: Request) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                partial(Connection, self), "127.0.0.1", self.port
            )
        except OSError:
            self.open -= 1
            self.end("refused", request)
            return
        connection.send(request)

    def answered(self, connection: Connection, status: str, request: Request) -> None:
        self.end(status, request)
        if self.waiting:
            connection.send(self.waiting.popleft())
        else:
            connection.idle_since = time.perf_counter()
            self.idle.append(connection)

    def lost(self, connection: Connection) -> None:
        self.open -= 1
        if connection.request is not None:
            self.end("lost", connection.request)
        elif connection in self.idle:
            self.idle.remove(connection)

    def end(self, status: str, request: Request) -> None:
        self.outstanding -= 1
        self.tally.answered(status, request, time.perf_counter())


async def load(
    port: int, requests: list[tuple[int, bytes]], rate: float, seconds: float, connections: int
) -> dict[str, object]:
    chance = random.Random(0)
    tally = Tally()
    pool = Pool(port, connections, tally)
    cpu, begun = cpu_seconds(), time.perf_counter()
    due = begun
    while (due := due + chance.expovariate(rate)) < begun + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tokens, content = chance.choice(requests)
        pool.send(Request(due, tokens, content))
    wall, cpu = time.perf_counter() - begun, cpu_seconds() - cpu
    in_time = tally.statuses["200"], tally.tokens
    patient = time.perf_counter() + PATIENCE_SECONDS
    while pool.outstanding and time.perf_counter() < patient:
        await asyncio.sleep(0.01)
    tally.statuses["no answer"] += pool.outstanding
    return {
        "statuses": {status: count for status, count in tally.statuses.items() if count},
        "answers_per_second": in_time[0] / wall,
        "tokens_per_second": in_time[1] / wall,
        "sent_per_second": sum(tally.statuses.values()) / wall,
        "p50": tally.percentile("200", 0.5),
        "p99": tally.percentile("200", 0.99),
        "refused_p99": tally.percentile("429", 0.99),
        "generator_cpu": cpu / wall,
        "connections": pool.most_open,
    }


def main() -> int:
    print_any_text()
    parser = generator_parser(__doc__)
    parser.add_argument("--rate", type=float, required=True, help="requests a second, on average")
    parser.add_argument("--connections", type=int, default=1000)
    options = parser.parse_args()
    requests = read_requests(options)
    work = load(options.port, requests, options.rate, options.seconds, options.connections)
    print(json.dumps(uvloop.run(work)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
