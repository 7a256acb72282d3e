"""Compressed request bodies: gzip is unpacked within the limit, any other coding is named."""

import asyncio
import gzip
import json
import random
import threading
import tracemalloc
import zlib
from collections.abc import Iterator

import httpx
import pytest

from service.errors import BodyTooLarge, DamagedBody
from service.http.body import content_encoding
from service.http.body.content_encoding import FEED_BYTES, MAX_MEMBERS, _unpack, unpack
from tests.support.api_client import JSON_TYPE, ApiClient, error_json, ok_json

LIMIT = 8 << 20
BODY = json.dumps({"text": "The old river"}).encode()


def send(api: ApiClient, content: bytes, coding: str, route: str = "/score") -> httpx.Response:
    headers = {**JSON_TYPE, "Content-Encoding": coding}
    return api.http.post(route, content=content, headers=headers)


@pytest.fixture(autouse=True)
def _still_answers(api: ApiClient) -> Iterator[None]:
    yield
    assert api.score(text="The old river")["results"]


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "identity, gzip", "gzip ,"])
def test_a_gzip_body_equals_a_plain_one(api: ApiClient, coding: str) -> None:
    assert ok_json(send(api, gzip.compress(BODY), coding)) == ok_json(api.send("/score", BODY))


@pytest.mark.parametrize("route", ["/next-token", "/rescore", "/v1/completions", "/tokenize"])
def test_every_route_unpacks(api: ApiClient, route: str) -> None:
    fields = {
        "/next-token": {"context": "The"},
        "/rescore": {"hypotheses": [{"text": "a"}]},
        "/v1/completions": {"model": "tiedlm", "prompt": "The", "seed": 1},
        "/tokenize": {"prompt": "The"},
    }[route]
    body = gzip.compress(json.dumps(fields).encode())
    assert send(api, body, "gzip", route).status_code == 200


def test_several_members_are_one_body(api: ApiClient) -> None:
    parts = [BODY[:5], b"", BODY[5:9], BODY[9:]]
    packed = b"".join(map(gzip.compress, parts)) + b"\0" * 100
    assert ok_json(send(api, packed, "gzip")) == ok_json(api.send("/score", BODY))


def test_identity_changes_nothing(api: ApiClient) -> None:
    assert ok_json(send(api, BODY, "identity")) == ok_json(api.send("/score", BODY))


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "compress", "gzip, gzip", "gzip, br"])
def test_other_codings_are_rejected_by_name(api: ApiClient, coding: str) -> None:
    response = send(api, BODY, coding)
    refusal = error_json(response, 415, "unsupported_media_type")
    assert coding in refusal["message"]
    assert "gzip" in refusal["message"]
    assert response.headers["Accept-Encoding"] == "gzip, identity"


@pytest.mark.parametrize(
    "content",
    [
        BODY,
        gzip.compress(BODY)[:-1],
        gzip.compress(BODY)[:-8],
        gzip.compress(BODY)[:12],
        gzip.compress(BODY)[:5],
        gzip.compress(BODY) + b"rest",
        gzip.compress(BODY) + gzip.compress(BODY)[:-3],
        zlib.compress(BODY),
        gzip.compress(BODY)[:-8] + b"\0" * 8,
    ],
)
def test_incomplete_gzip_is_rejected(api: ApiClient, content: bytes) -> None:
    assert "gzip" in error_json(send(api, content, "gzip"), 400, "invalid_json")["message"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BODY, "is not gzip"),
        (gzip.compress(BODY)[:-8] + bytes(8), "is damaged"),
        (gzip.compress(BODY) + b"rest", "is damaged"),
        (gzip.compress(BODY)[:-1], "is incomplete"),
    ],
)
def test_an_error_names_what_is_wrong_with_gzip(content: bytes, reason: str) -> None:
    with pytest.raises(DamagedBody, match=reason):
        _unpack(content, LIMIT)


def test_packed_garbage_is_invalid_json(api: ApiClient) -> None:
    error_json(send(api, gzip.compress(b"{"), "gzip"), 400, "invalid_json")
    error_json(send(api, gzip.compress(b'{"text": "\xff"}'), "gzip"), 400, "invalid_json")


def test_the_limit_holds_for_the_unpacked_body(api: ApiClient) -> None:
    assert send(api, gzip.compress(BODY.ljust(LIMIT)), "gzip").status_code == 200
    refusal = error_json(
        send(api, gzip.compress(BODY.ljust(LIMIT + 1)), "gzip"), 413, "body_too_large"
    )
    assert str(LIMIT) in refusal["message"]


def test_a_bomb_needs_little_memory() -> None:
    """A gigabyte of zeros in one member, and in many."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1 << 10)) + packer.flush()
    many = gzip.compress(bytes(64 << 10)) * 20_000
    for content in (bomb, many):
        tracemalloc.start()
        with pytest.raises(BodyTooLarge):
            _unpack(content, LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * LIMIT


def test_too_many_empty_members_are_rejected() -> None:
    empty = gzip.compress(b"")
    assert _unpack(empty * MAX_MEMBERS, LIMIT) == b""
    with pytest.raises(DamagedBody, match="too many members"):
        _unpack(empty * (LIMIT // len(empty)), LIMIT)


def test_members_across_feeds_unpack_alike() -> None:
    content = random.Random(1).randbytes(3 * FEED_BYTES)
    packed = gzip.compress(content[:FEED_BYTES]) + gzip.compress(content[FEED_BYTES:])
    assert _unpack(packed, LIMIT) == content


@pytest.mark.parametrize(("size", "inline"), [(100, True), (8 << 20, False)])
def test_only_small_content_unpacks_on_the_loop(
    monkeypatch: pytest.MonkeyPatch, size: int, inline: bool
) -> None:
    """Eight kilobytes of gzip hold eight megabytes of zeros."""
    threads: list[threading.Thread] = []

    def recording(body: bytes, limit: int) -> bytes:
        threads.append(threading.current_thread())
        return _unpack(body, limit)

    monkeypatch.setattr(content_encoding, "_unpack", recording)
    packed = gzip.compress(bytes(size))
    assert len(packed) < 8200
    assert asyncio.run(unpack(packed, LIMIT)) == bytes(size)
    assert (threads == [threading.current_thread()]) == inline
