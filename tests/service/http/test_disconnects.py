"""A client that disconnects cancels all its requests at any stage, without an error in the log."""

import json
import logging
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from service.http.connection import flow_control
from service.http.connection.flow_control import PipelineFlowControl
from service.http.connection.framed_protocol import MAX_PIPELINED
from service.language_model import LanguageModel
from service.results.sampling import Sampler
from tests.support.api_client import Json
from tests.support.http_server import Address, serve_with
from tests.support.raw_http import GET_LIVE

SECONDS = 60.0
RESET = struct.pack("ii", 1, 0)  # closing sends a reset
COSTLY: Json = {"model": "tiedlm", "prompt": "The city", "n": 64, "max_tokens": 3000, "seed": 1}
ALL_TOKENS = COSTLY["n"] * COSTLY["max_tokens"]
FUZZED = 300


def post(path: str, body: Json, *lines: str) -> bytes:
    content = json.dumps(body)
    own = ["Host: tests", "Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([f"POST {path} HTTP/1.1", *own, *lines, "", content]).encode()


UPLOAD = b"POST /score HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n"
BEGUN_UPLOAD = UPLOAD % 8_000_000 + b" " * 4_000_000
CHUNK = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
ENDLESS_UPLOAD = (
    b"POST /score HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK * 40
)
BEHIND = {
    "nothing": b"",
    "one": GET_LIVE,
    "as many as may wait": GET_LIVE * MAX_PIPELINED,
    "more than may wait": GET_LIVE * (MAX_PIPELINED + 20),
    "part of a head": GET_LIVE[:20],
    "part of a large body": BEGUN_UPLOAD,
    "a body beyond every limit": UPLOAD % 64_000_000 + b" " * 40_000_000,
    "an endless body": ENDLESS_UPLOAD,
    "garbage": b"\0\0\0\0",
    "the same again": post("/v1/completions", COSTLY) * 5,
}


def by_fin(connection: socket.socket) -> None:
    connection.close()


def by_reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def by_half_close(connection: socket.socket) -> None:
    """Close one direction; the socket stays open and reads nothing."""
    connection.shutdown(socket.SHUT_WR)


LEAVES: list[Callable[[socket.socket], None]] = [by_fin, by_reset, by_half_close]


class Left(logging.Handler):
    """Collects the ids of the requests whose clients disconnected."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        if "the client disconnected" in record.getMessage():
            with self.changed:
                self.ids.add(str(vars(record).get("request_id")))
                self.changed.notify_all()

    def wait_for(self, request_id: str) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: request_id in self.ids, SECONDS)


@pytest.fixture
def left(caplog: pytest.LogCaptureFixture) -> Iterator[Left]:
    log, handler = logging.getLogger("service.http.middleware"), Left()
    caplog.set_level(logging.INFO, log.name)
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


@pytest.fixture(scope="module")
def address(model: LanguageModel) -> Iterator[Address]:
    with serve_with(model) as made:
        yield made


@pytest.fixture
def drawn(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect all tokens that the workers sample; none of them ends a choice."""
    tokens: list[int] = []
    draw = Sampler.__call__

    def recording(self: Sampler, row: Any) -> Any:
        step = draw(self, row)
        tokens.append(step.id)
        return replace(step, id=2) if step.id == model.tokenizer.end_id else step

    monkeypatch.setattr(Sampler, "__call__", recording)
    return tokens


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def nothing_waits(model: LanguageModel) -> bool:
    return model._runner._batcher.idle


@pytest.mark.parametrize("leave", LEAVES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("behind", BEHIND.values(), ids=list(BEHIND))
def test_a_disconnect_cancels_all_requests(
    model: LanguageModel,
    address: Address,
    left: Left,
    drawn: list[int],
    behind: bytes,
    stream: bool,
    leave: Callable[[socket.socket], None],
) -> None:
    with socket.create_connection(address, timeout=SECONDS) as connection:
        first = post("/v1/completions", {**COSTLY, "stream": stream}, "X-Request-Id: leaver")
        connection.sendall(first + behind)
        wait_until(lambda: len(drawn) > 64)
        leave(connection)
        assert left.wait_for("leaver")
        wait_until(lambda: nothing_waits(model))
        assert len(drawn) < ALL_TOKENS // 2
        assert left.ids == {"leaver"}  # the others were never started


def test_a_reset_is_noticed_while_reading_pauses(
    model: LanguageModel,
    address: Address,
    left: Left,
    drawn: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Enough bytes are queued to pause reading."""
    held, hold = threading.Event(), PipelineFlowControl.hold

    def recording(self: PipelineFlowControl) -> None:
        hold(self)
        held.set()

    monkeypatch.setattr(PipelineFlowControl, "hold", recording)
    with socket.create_connection(address, timeout=SECONDS) as connection:
        connection.sendall(post("/v1/completions", COSTLY, "X-Request-Id: leaver"))
        wait_until(lambda: len(drawn) > 64)
        connection.settimeout(0.5)
        upload = UPLOAD % 4_000_000 + b" " * 4_000_000
        with pytest.raises(TimeoutError):
            connection.sendall(upload * 40)
        assert held.wait(SECONDS)
        by_reset(connection)
        assert left.wait_for("leaver")
        wait_until(lambda: nothing_waits(model))
        assert len(drawn) < ALL_TOKENS // 2
        assert left.ids == {"leaver"}


def test_a_close_behind_many_requests_is_noticed(
    model: LanguageModel,
    address: Address,
    left: Left,
    drawn: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end of the connection is behind more bytes than the service reads ahead."""
    monkeypatch.setattr(flow_control, "HOLD_SECONDS", 0.5)
    with socket.create_connection(address, timeout=SECONDS) as connection:
        connection.sendall(post("/v1/completions", COSTLY, "X-Request-Id: leaver"))
        wait_until(lambda: len(drawn) > 64)
        connection.settimeout(0.2)
        upload = UPLOAD % 800_000 + b" " * 800_000
        with suppress(TimeoutError):
            connection.sendall(upload * 60)
        by_fin(connection)
        assert left.wait_for("leaver")
        wait_until(lambda: nothing_waits(model))
        assert len(drawn) < ALL_TOKENS // 2


def test_an_unread_stream_ends_with_its_client(
    model: LanguageModel, address: Address, left: Left, drawn: list[int]
) -> None:
    """The client closes its side and reads nothing of the response."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(SECONDS)
        connection.connect(address)
        asked = {**COSTLY, "stream": True, "logprobs": 4}
        connection.sendall(post("/v1/completions", asked, "X-Request-Id: leaver") + GET_LIVE)
        wait_until(lambda: len(drawn) > 2000)
        connection.shutdown(socket.SHUT_WR)
        assert left.wait_for("leaver")
        wait_until(lambda: nothing_waits(model))
        assert len(drawn) < ALL_TOKENS // 2


def test_others_are_served_when_many_leave(
    model: LanguageModel, address: Address, left: Left, drawn: list[int]
) -> None:
    """Attackers send costly requests and more bytes, and disconnect."""
    for number in range(12):
        with socket.create_connection(address, timeout=SECONDS) as connection:
            asked = post("/v1/completions", COSTLY, f"X-Request-Id: {number}")
            connection.sendall(asked + GET_LIVE)
            before = len(drawn)
            wait_until(lambda: len(drawn) > before)  # noqa: B023
    assert all(left.wait_for(str(number)) for number in range(12))
    wait_until(lambda: nothing_waits(model))
    assert len(drawn) < ALL_TOKENS
    with socket.create_connection(address, timeout=SECONDS) as connection:
        connection.sendall(post("/score", {"text": "the old river"}))
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


REQUESTS = [
    GET_LIVE,
    post("/score", {"text": "the old river " * 50}),
    post("/score", {"text": "the old river"}, "Expect: 100-continue"),
    post("/score", {"token_ids": [[2, 3, 4] * 300], "top": 100}),
    post("/next-token", {"context": "the city"}),
    post("/rescore", {"hypotheses": ["the river", "the city"]}),
    post("/v1/completions", {**COSTLY, "n": 4, "max_tokens": 30}),
    post("/v1/completions", {**COSTLY, "n": 4, "max_tokens": 30, "stream": True}),
    post("/v1/completions", {**COSTLY, "n": 16, "max_tokens": 300, "stream": True}),
    post("/nowhere", {}),
    GET_LIVE.replace(b"/health/live", b"/openapi.json"),
    GET_LIVE.replace(b"/health/live", b"/metrics"),
]


def leave_somewhere(address: Address, chance: random.Random) -> None:
    asked = b"".join(chance.choices(REQUESTS, k=chance.choice((1, 1, 2, 3, 8))))
    if chance.random() < 0.5:
        asked = asked[: chance.randrange(len(asked))]
    with socket.create_connection(address, timeout=SECONDS) as connection:
        if chance.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.sendall(asked)
        connection.settimeout(0.05)
        try:
            if chance.random() < 0.3:
                connection.recv(chance.choice((1, 100, 100_000)))
            if chance.random() < 0.2:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        time.sleep(chance.choice((0, 0, 0.001, 0.01, 0.03)))


def test_a_disconnect_at_any_stage_logs_no_error(
    model: LanguageModel, address: Address, caplog: pytest.LogCaptureFixture
) -> None:
    def leave(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(FUZZED // 4):
            leave_somewhere(address, chance)

    threads = [threading.Thread(target=leave, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: nothing_waits(model))
    found = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert found == []
