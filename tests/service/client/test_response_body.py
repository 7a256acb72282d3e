"""A response body is read within limits of memory and time."""

import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat

import httpx
import pytest

from service.client import ConnectionFailed, Retries, ServerError, TiedlmError, Unavailable
from service.client.response_body import ResponseBody
from tests.service.client.conftest import URL, MakeClient
from tests.support.byte_server import http_chunk, response_head, serve_bytes

MIB = 1 << 20
DETOKENIZED = {"prompt": "the river"}


def gzip_bomb(mebibytes: int) -> Iterator[bytes]:
    """Yield a gzip member of `mebibytes` MiB of zeros, without its end."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    compressed = compressor.compress(bytes(MIB)) + compressor.flush(zlib.Z_FULL_FLUSH)
    yield gzip.compress(b"")[:10]
    yield from repeat(compressed, mebibytes)


LIMIT = 4 * MIB
ENDLESS: dict[str, tuple[bytes, Callable[[], Iterable[bytes]]]] = {
    "a gzip bomb": (
        response_head("Content-Encoding: gzip"),
        lambda: gzip_bomb(20 * 1024),
    ),
    "an endless text": (response_head(), lambda: repeat(bytes(MIB))),
    "endless chunks": (
        response_head("Transfer-Encoding: chunked"),
        lambda: repeat(http_chunk(bytes(MIB))),
    ),
    "a length of a terabyte": (
        response_head(f"Content-Length: {10**12}"),
        lambda: repeat(b"x" * MIB),
    ),
    "a length of 4,000 digits": (
        response_head("Content-Length: " + "9" * 4000),
        lambda: [b"x"],
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_body_is_cut(make_client: MakeClient, name: str) -> None:
    head, body = ENDLESS[name]
    with serve_bytes(lambda: chain([head], body())) as url:
        client = make_client(url=url, max_answer_bytes=LIMIT)
        tracemalloc.start()
        try:
            with pytest.raises(TiedlmError) as caught:
                client("detokenize", [2])
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    if name != "a length of 4,000 digits":  # some parsers reject that length
        assert type(caught.value) is ServerError
        assert caught.value.message == (
            f"the response of {url}/detokenize is larger than 4,194,304 bytes, the client's "
            "max_answer_bytes"
        )
    assert peak_bytes < 6 * LIMIT


def test_503_with_a_gzip_bomb_is_unavailable(make_client: MakeClient) -> None:
    head = response_head("Content-Encoding: gzip", status="503 Busy")
    chunks = [head, *gzip_bomb(64)]
    with serve_bytes(lambda: chunks) as url:
        with pytest.raises(Unavailable) as caught:
            make_client(url=url, max_answer_bytes=LIMIT)("info")
        assert make_client(url=url, max_answer_bytes=LIMIT)("ready") is False
    assert (caught.value.status, caught.value.code) == (503, None)


@pytest.mark.parametrize("content", [b"", b"not gzip", gzip.compress(b'{"prompt": "a"}' * 9)[:-9]])
def test_corrupt_gzip_is_an_error(make_client: MakeClient, content: bytes) -> None:
    with (
        serve_bytes(lambda: [response_head("Content-Encoding: gzip"), content]) as url,
        pytest.raises(ServerError),
    ):
        make_client(url=url)("detokenize", [2])


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "compress"])
def test_unrequested_encoding_is_an_error(make_client: MakeClient, encoding: str) -> None:
    with (
        serve_bytes(lambda: [response_head(f"Content-Encoding: {encoding}"), b"\0" * 99]) as url,
        pytest.raises(ServerError, match="did not request") as caught,
    ):
        make_client(url=url)("detokenize", [2])
    assert caught.value.status == 200


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "identity", ""])
def test_body_compressed_by_a_proxy_is_read(make_client: MakeClient, encoding: str) -> None:
    content = json.dumps(DETOKENIZED).encode()
    encoded = gzip.compress(content) if "gzip" in encoding.lower() else content
    chunks = [encoded[start : start + 7] for start in range(0, len(encoded), 7)]
    with serve_bytes(lambda: [response_head(f"Content-Encoding: {encoding}"), *chunks]) as url:
        assert make_client(url=url)("detokenize", [2]) == "the river"


def test_incomplete_body_is_an_error(make_client: MakeClient) -> None:
    half = b'{"prompt": "the ri'
    with serve_bytes(lambda: [response_head("Content-Length: 99"), half]) as url:
        client = make_client(url=url, retries=Retries(count=2))
        with pytest.raises(
            ConnectionFailed, match=f"no response from {url}/detokenize: Remote"
        ) as caught:
            client("detokenize", [2])
        assert len(client.sleeps) == 2
    assert caught.value.status is None
    with (
        serve_bytes(lambda: [response_head(), half]) as url,
        pytest.raises(ServerError, match="is not JSON"),
    ):
        make_client(url=url)("detokenize", [2])


def new_body(timeout_seconds: float | None, max_bytes: int = MIB) -> ResponseBody:
    request = httpx.Request("GET", URL)
    response = httpx.Response(200, stream=httpx.ByteStream(b""), request=request)
    return ResponseBody(response, max_bytes, timeout_seconds)


def test_slow_body_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    body = new_body(timeout_seconds=60.0)
    chunks = 0
    while body.add(b"x"):
        now[0] += 59
        chunks += 1
        assert chunks < 100
    assert 590 <= now[0] - 100 <= 660
    assert "took longer than 10 times" in str(body.to_response().extensions)


def test_without_a_timeout_there_is_no_deadline() -> None:
    body = new_body(timeout_seconds=None)
    assert body.add(b'{"a": ')
    assert body.add(b"1}")
    assert body.to_response().json() == {"a": 1}


@pytest.mark.parametrize("value", [b"[],", b"{},", b'{"a":1},', b'"ab",', b"1.5,", b"[[]],[1],"])
def test_large_dense_json_is_not_parsed(make_client: MakeClient, value: bytes) -> None:
    content = b'{"prompt":"a","more":[' + value * (17 * MIB // len(value)) + b"0]}"
    with (
        serve_bytes(lambda: [response_head(), content]) as url,
        pytest.raises(ServerError, match="has too many JSON values for its size"),
    ):
        make_client(url=url)("detokenize", [2])


@pytest.mark.parametrize(
    "value",
    [
        b'{"id":1,"text":"a","surface":"a","logprob":-1.25},',
        b'{"id":1,"text":"a","surface":"a","start":0,"end":1,"logprob":-1.5,"cross_entropy":1.5,'
        b'"oov":false},',
    ],
)
def test_smallest_tokens_are_not_too_dense(value: bytes) -> None:
    content = b"[" + value * (17 * MIB // len(value)) + b"0]"
    body = new_body(60.0, 128 * MIB)
    body.add(content)
    assert body.to_response().content == content
