"""What the Python client makes of answers that are not the service's: errors within bounds."""

import gzip
import json
import math
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
from hypothesis import given
from hypothesis import strategies as st

from service.client import (
    NoAnswer,
    RequestRefused,
    Retries,
    ServerFailed,
    TiedlmError,
    Unavailable,
)
from service.client.calls import detokenize
from service.client.exchange import exchange
from service.client.receiving import Receiving
from tests.service.either_client import Answers, EitherClient, error_answer
from tests.service.wire import Wire

URL = "http://tiedlm.test"
MIB = 1 << 20
ONCE = Retries(count=0)
GOOD = {"prompt": "the river"}

Asking = Callable[..., EitherClient]


@pytest.fixture(params=[False, True], ids=["Client", "AsyncClient"])
def asking(request: pytest.FixtureRequest) -> Asking:
    def make(url: str = URL, handler: Any = None, **options: Any) -> EitherClient:
        return EitherClient(request.param, url, handler, **{"retries": ONCE, **options})

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
        assert type(caught.value) is ServerFailed
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
        pytest.raises(ServerFailed),
    ):
        asking(url)("detokenize", [2])


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "compress"])
def test_a_packing_that_was_not_asked_for_is_an_error(asking: Asking, coding: str) -> None:
    with (
        answering(lambda: [head(f"Content-Encoding: {coding}"), b"\0" * 99]) as url,
        pytest.raises(ServerFailed, match="did not ask for") as caught,
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
        with pytest.raises(NoAnswer, match=f"no answer from {url}/detokenize: Remote") as caught:
            ask("detokenize", [2])
        assert len(ask.sleeps) == 2
    assert caught.value.status is None
    with (
        answering(lambda: [head(), b'{"prompt": "the ri']) as url,
        pytest.raises(ServerFailed, match="is not JSON"),
    ):
        asking(url)("detokenize", [2])


@pytest.mark.parametrize("status", [200, 404, 422, 500, 503])
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 1_000_000,
        b'{"prompt":' * 500_000,
        b'{"error":' * 500_000 + b"1" + b"}" * 500_000,
        b'{"error":{"code":' + b"[" * 900 + b"]" * 900 + b"}}",
        b'{"prompt": ' + b"9" * 100_000 + b"}",
        b'{"prompt": NaN}',
        b'{"prompt": "\xed\xa0\x80"}',
        json.dumps(GOOD).encode("utf-16"),
    ],
    ids=["lists", "objects", "errors", "a code", "digits", "NaN", "a surrogate", "UTF-16"],
)
def test_an_answer_that_no_parser_takes_is_an_error(
    asking: Asking, content: bytes, status: int
) -> None:
    kind = {404: RequestRefused, 422: RequestRefused, 503: Unavailable}.get(status, ServerFailed)
    with pytest.raises(TiedlmError) as caught:
        asking(handler=Answers(httpx.Response(status, content=content)))("detokenize", [2])
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code) == (status, None)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "said",
    [
        {"message": 5, "code": ["a"], "param": {}},
        {"message": None, "code": None, "param": None},
        {"message": "", "code": 7, "param": 1e400},
        {"message": [["deep"]], "code": True, "param": False},
    ],
)
def test_an_error_of_another_shape_has_no_code(asking: Asking, said: dict[str, Any]) -> None:
    answer = httpx.Response(422, content=json.dumps({"error": said}).encode())
    with pytest.raises(RequestRefused) as caught:
        asking(handler=Answers(answer))("detokenize", [2])
    error = caught.value
    assert (error.code, error.param) == (None, None)
    assert error.message == "http://tiedlm.test/detokenize answered HTTP 422 without a message"


def test_what_an_error_says_can_be_printed(asking: Asking) -> None:
    said = {"message": "\ud800" + "x" * 10**6, "code": "\udfff", "param": "p" * 10**6}
    headers = {"X-Request-Id": "i" * 10**6}
    answer = httpx.Response(422, content=json.dumps({"error": said}).encode(), headers=headers)
    with pytest.raises(RequestRefused) as caught:
        asking(handler=Answers(answer))("detokenize", [2])
    assert len(str(caught.value).encode()) < 10_000
    assert (caught.value.code, caught.value.message[:2]) == ("?", "?x")


@pytest.mark.parametrize("content", [b"<html>", b"{}", b'{"status": "live"}', b""])
def test_a_page_is_no_service_that_is_ready(asking: Asking, content: bytes) -> None:
    ask = asking(handler=Answers(httpx.Response(200, content=content)))
    if b"live" in content:
        assert ask("ready") is False
    else:
        with pytest.raises(ServerFailed):
            ask("ready")


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """To each value in JSON, of a list's items the first."""
    if path:
        yield path
    if isinstance(value, dict):
        for name, one in value.items():
            yield from paths(one, (*path, name))
    elif isinstance(value, list) and value:
        yield from paths(value[0], (*path, 0))


def put(answer: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(answer))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return copy


def test_a_value_of_another_type_is_an_error(wire: Wire) -> None:
    """Each value of real answers in turn, replaced by one that it cannot be."""
    texts = ["The old river", "ran"]
    asked: dict[str, tuple[dict[str, Any], Any]] = {
        "score": (
            {"texts": texts},
            wire.score(texts=texts, details=True, top=2, top_g=3, return_state=True),
        ),
        "next_token": (
            {"context": "The"},
            wire.next_token(context="The", candidates=["river"], prefix="r", return_state=True),
        ),
        "rescore": (
            {"hypotheses": texts},
            wire.post("/rescore", hypotheses=[{"text": "a", "id": "b"}]).json(),
        ),
        "tokenize": ({"prompt": "a"}, wire.post("/tokenize", prompt="a b").json()),
        "detokenize": ({"tokens": [2]}, GOOD),
        "info": ({}, wire.http.get("/info").json()),
    }
    tried = 0
    for method, (fields, answer) in asked.items():
        ask = EitherClient(False, URL, Answers(httpx.Response(200, json=answer)), retries=ONCE)
        ask(method, **fields)  # as it is, it is read
        for path in paths(answer):
            if path[:1] == ("training",) and len(path) > 1:
                continue  # of any type
            wrong = 5 if isinstance(put(answer, path, 0), list) else [[5]]
            spoilt = put(answer, path, {"a": [wrong]})
            if path == ("training",):
                spoilt = put(answer, path, [5])
            if path in (("versions",), ("parity",)):
                spoilt = put(answer, path, {"a": [5]})
            handler = Answers(httpx.Response(200, json=spoilt))
            with pytest.raises(ServerFailed, match="is not the service's"):
                EitherClient(False, URL, handler, retries=ONCE)(method, **fields)
            tried += 1
    assert tried > 100


def test_a_number_beyond_a_double_is_an_error(asking: Asking, wire: Wire) -> None:
    answer = json.dumps(put(wire.score(text="a"), ("results", 0, "perplexity"), 1e300))
    content = answer.replace("1e+300", "1e+999").encode()
    with pytest.raises(ServerFailed, match="range of a double"):
        asking(handler=Answers(httpx.Response(200, content=content)))("score", "a")


ODD_TIMES = [
    *("-1", "nan", "inf", "1e400", "9" * 400, "9" * 5000, "99999999999999999999", "1.5", "+3"),
    *("Mon, 02 Jun 99999999 12:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "31 Feb", "-1 -1 -1"),
    *("Mon, 99 Jun 2025 99:99:99 GMT", "Mon, 02 Jun 2025 12:00:00 +99999999999999999999", ","),
]


@pytest.mark.parametrize("value", ODD_TIMES)
@pytest.mark.parametrize("date", [None, "Mon, 02 Jun 2025 12:00:00 GMT", "Mon, 02 Jun 99999999"])
def test_a_time_that_nobody_waits_is_not_waited(
    asking: Asking, value: str, date: str | None
) -> None:
    busy = error_answer(503, "not_ready")
    busy.headers["Retry-After"] = value
    if date is not None:
        busy.headers["Date"] = date
    ask = asking(handler=Answers(busy), retries=Retries(count=4, max_wait_seconds=30))
    with pytest.raises(Unavailable) as caught:
        ask("info")
    assert sum(ask.sleeps) <= 30
    assert all(math.isfinite(slept) and slept >= 0 for slept in ask.sleeps)
    after = caught.value.retry_after_seconds
    assert after is None or 0 <= after < 10**9
    assert caught.value.code == "not_ready"


@given(st.text(st.characters(max_codepoint=255), max_size=30) | st.text("0123456789: ,AGJMNTUZ+-"))
def test_any_time_to_wait_is_read_or_left(value: str) -> None:
    headers = [(b"Retry-After", value.encode("latin-1")), (b"Date", value.encode("latin-1"))]
    answer = httpx.Response(503, headers=headers)
    steps = exchange(detokenize([2]), ONCE)
    next(steps)
    with pytest.raises(Unavailable):
        steps.send(answer)


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
        pytest.raises(ServerFailed, match="holds more values"),
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
