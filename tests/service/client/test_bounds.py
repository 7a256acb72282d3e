"""What the Python client reads of an answer is bounded in memory and time."""

import gzip
import json
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from typing import Any

import httpx
import pytest

from service.client import (
    ConnectionFailed,
    Retries,
    ServerError,
    TiedlmError,
    Unavailable,
)
from service.client.response_body import Receiving
from tests.support.sync_or_async_client import SyncOrAsyncClient

URL = "http://tiedlm.test"
MIB = 1 << 20
ONCE = Retries(count=0)
GOOD = {"prompt": "the river"}

Asking = Callable[..., SyncOrAsyncClient]


@pytest.fixture(params=[False, True], ids=["Client", "AsyncClient"])
def asking(request: pytest.FixtureRequest) -> Asking:
    def make(url: str = URL, handler: Any = None, **options: Any) -> SyncOrAsyncClient:
        return SyncOrAsyncClient(request.param, url, handler, **{"retries": ONCE, **options})

    return make


@contextmanager
def answering(pieces: Callable[[], Iterable[bytes]]) -> Iterator[str]:
    """A server that writes the same bytes to each client, until it has them all or leaves."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.recv(65536)
                    for piece in pieces():
                        connection.sendall(piece)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def head(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]).encode()


def chunked(piece: bytes) -> bytes:
    return f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


def zeros_packed(mebibytes: int) -> Iterator[bytes]:
    """A gzip member of so many MiB of zeros, without its end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    yield gzip.compress(b"")[:10]
    yield from repeat(packed, mebibytes)


BOUND = 4 * MIB
ENDLESS: dict[str, tuple[bytes, Callable[[], Iterable[bytes]]]] = {
    "a gzip bomb": (head("Content-Encoding: gzip"), lambda: zeros_packed(20 * 1024)),
    "an endless text": (head(), lambda: repeat(bytes(MIB))),
    "endless chunks": (head("Transfer-Encoding: chunked"), lambda: repeat(chunked(bytes(MIB)))),
    "a length of a terabyte": (head(f"Content-Length: {10**12}"), lambda: repeat(b"x" * MIB)),
    "a length of 4,000 digits": (head("Content-Length: " + "9" * 4000), lambda: [b"x"]),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_without_end_is_cut(asking: Asking, name: str) -> None:
    first, rest = ENDLESS[name]
    with answering(lambda: chain([first], rest())) as url:
        ask = asking(url, max_answer_bytes=BOUND)
        tracemalloc.start()
        try:
            with pytest.raises(TiedlmError) as caught:
                ask("detokenize", [2])
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    if name != "a length of 4,000 digits":  # which is no length to some parsers
        assert type(caught.value) is ServerError
        assert caught.value.message == (
            f"the answer of {url}/detokenize is larger than 4,194,304 bytes, the client's "
            "max_answer_bytes"
        )
    assert most < 6 * BOUND


def test_a_refusal_with_a_bomb_is_still_a_refusal(asking: Asking) -> None:
    parts = chain([head("Content-Encoding: gzip", status="503 Busy")], zeros_packed(64))
    kept = [*parts]
    with answering(lambda: kept) as url:
        with pytest.raises(Unavailable) as caught:
            asking(url, max_answer_bytes=BOUND)("info")
        assert asking(url, max_answer_bytes=BOUND)("ready") is False
    assert (caught.value.status, caught.value.code) == (503, None)


@pytest.mark.parametrize("packed", [b"", b"not gzip", gzip.compress(b'{"prompt": "a"}' * 9)[:-9]])
def test_a_damaged_answer_is_an_error(asking: Asking, packed: bytes) -> None:
    with (
        answering(lambda: [head("Content-Encoding: gzip"), packed]) as url,
        pytest.raises(ServerError),
    ):
        asking(url)("detokenize", [2])


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "compress"])
def test_a_packing_that_was_not_asked_for_is_an_error(asking: Asking, coding: str) -> None:
    with (
        answering(lambda: [head(f"Content-Encoding: {coding}"), b"\0" * 99]) as url,
        pytest.raises(ServerError, match="did not ask for") as caught,
    ):
        asking(url)("detokenize", [2])
    assert caught.value.status == 200


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "identity", ""])
def test_an_answer_that_a_proxy_packed_is_read(asking: Asking, coding: str) -> None:
    content = json.dumps(GOOD).encode()
    packed = gzip.compress(content) if "gzip" in coding.lower() else content
    pieces = [packed[at : at + 7] for at in range(0, len(packed), 7)]
    with answering(lambda: [head(f"Content-Encoding: {coding}"), *pieces]) as url:
        assert asking(url)("detokenize", [2]) == "the river"


def test_half_an_answer_is_none(asking: Asking) -> None:
    with answering(lambda: [head("Content-Length: 99"), b'{"prompt": "the ri']) as url:
        ask = asking(url, retries=Retries(count=2))
        with pytest.raises(
            ConnectionFailed, match=f"no answer from {url}/detokenize: Remote"
        ) as caught:
            ask("detokenize", [2])
        assert len(ask.sleeps) == 2
    assert caught.value.status is None
    with (
        answering(lambda: [head(), b'{"prompt": "the ri']) as url,
        pytest.raises(ServerError, match="is not JSON"),
    ):
        asking(url)("detokenize", [2])


def test_an_answer_that_drips_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    request = httpx.Request("GET", URL)
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    answer = httpx.Response(200, stream=httpx.ByteStream(b""), request=request)
    receiving = Receiving(answer, MIB, 60.0)
    took = 0
    while receiving.add(b"x"):
        now[0] += 59
        took += 1
        assert took < 100
    assert 590 <= now[0] - 100 <= 660
    problem = receiving.ended().extensions
    assert "has not ended" in str(problem)


def test_a_client_without_a_timeout_waits_for_the_end() -> None:
    answer = httpx.Response(200, stream=httpx.ByteStream(b""), request=httpx.Request("GET", URL))
    receiving = Receiving(answer, MIB, None)
    assert receiving.add(b'{"a": ')
    assert receiving.add(b"1}")
    assert receiving.ended().json() == {"a": 1}


def received(content: bytes) -> httpx.Response:
    answer = httpx.Response(200, stream=httpx.ByteStream(b""), request=httpx.Request("GET", URL))
    receiving = Receiving(answer, 128 * MIB, 60.0)
    receiving.add(content)
    return receiving.ended()


@pytest.mark.parametrize("value", [b"[],", b"{},", b'{"a":1},', b'"ab",', b"1.5,", b"[[]],[1],"])
def test_a_large_answer_of_small_values_is_not_parsed(asking: Asking, value: bytes) -> None:
    content = b'{"prompt":"a","more":[' + value * (17 * MIB // len(value)) + b"0]}"
    with (
        answering(lambda: [head(), content]) as url,
        pytest.raises(ServerError, match="holds too many JSON values for its size"),
    ):
        asking(url)("detokenize", [2])


@pytest.mark.parametrize(
    "value",
    [
        b'{"id":1,"text":"a","surface":"a","logprob":-1.25},',
        b'{"id":1,"text":"a","surface":"a","start":0,"end":1,"logprob":-1.5,"cross_entropy":1.5,'
        b'"oov":false},',
    ],
)
def test_a_large_answer_of_the_smallest_tokens_is_parsed(value: bytes) -> None:
    content = b"[" + value * (17 * MIB // len(value)) + b"0]"
    assert received(content).content == content
