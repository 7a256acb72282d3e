"""Checks of every request: its id, its size, its type, and a client that disconnects."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.http.app import create_app
from service.http.body.request_body import replay
from service.http.request_context import request_context
from service.language_model import LanguageModel
from tests.support.api_client import JSON_TYPE, ApiClient, error_json, strict_json

LIMIT = 8 * 1024 * 1024
SECONDS = 20.0
JSON_HEADER = ["Content-Type: application/json"]


@pytest.fixture
def connection(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=SECONDS) as made:
        yield made


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST /score HTTP/1.1", "Host: tests", *lines, "", ""]).encode()


def answered(connection: socket.socket) -> tuple[int, Any]:
    """Return status and JSON body of a response after which the server closes."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    start, _, body = received.partition(b"\r\n\r\n")
    return int(start.split()[1]), strict_json(body)


@pytest.mark.parametrize("given", ["abc", "!", "~", "x" * 128, 'a"b\\c,d'])
def test_a_valid_request_id_is_returned(api: ApiClient, given: str) -> None:
    for route in ("/health/live", "/nowhere"):
        response = api.http.get(route, headers={"X-Request-Id": given})
        assert response.headers.get_list("X-Request-Id") == [given]


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "é"])
def test_an_invalid_request_id_is_replaced(api: ApiClient, given: str) -> None:
    headers = [(b"X-Request-Id", given.encode("latin-1"))]
    replaced = api.http.get("/health/live", headers=headers).headers["X-Request-Id"]
    assert replaced != given
    assert replaced.isalnum()


def test_every_response_has_its_own_request_id(api: ApiClient) -> None:
    responses = [
        api.post("/score", text="a"),
        api.post("/score"),
        api.send("/score", b"{"),
        api.http.post("/score"),
        api.http.get("/nowhere"),
        api.http.get("/score"),
        api.http.get("/openapi.json"),
        api.send("/score", b" " * (LIMIT + 1)),
    ]
    found = [response.headers["X-Request-Id"] for response in responses]
    assert len(set(found)) == len(responses)


@pytest.mark.parametrize("route", ["/score", "/next-token", "/v1/completions"])
@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_other_content_types_are_rejected(api: ApiClient, route: str, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    response = api.http.post(route, content=b'{"text": "a"}', headers=headers)
    assert "application/json" in error_json(response, 415, "unsupported_media_type")["message"]


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_the_content_type_ignores_case(api: ApiClient, kind: str) -> None:
    headers = {"Content-Type": kind}
    assert api.http.post("/score", content=b'{"text": "a"}', headers=headers).status_code == 200


def test_an_unknown_route_is_404(api: ApiClient) -> None:
    for response in (api.http.get("/nowhere"), api.post("/scores", text="a")):
        assert error_json(response, 404, "not_found")["type"] == "not_found_error"


def test_a_finished_request_keeps_no_model(model: LanguageModel) -> None:
    """An idle connection keeps the scope of its last request, also after a reload."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/info",
        "root_path": "",
        "query_string": b"",
        "headers": [],
    }

    async def send(_: object) -> None:
        pass

    asyncio.run(create_app(model)(scope, replay(b""), send))
    context = request_context(scope)
    assert (context.status, context.response_complete) == (200, True)
    assert not hasattr(context, "model")


@pytest.mark.parametrize(("method", "route"), [("GET", "/score"), ("DELETE", "/health/live")])
def test_a_wrong_method_is_405(api: ApiClient, method: str, route: str) -> None:
    response = api.http.request(method, route)
    error_json(response, 405, "method_not_allowed")
    assert response.headers["Allow"]


def test_a_body_at_the_limit_is_accepted(api: ApiClient) -> None:
    body = b'{"text": "a"}'
    assert api.send("/score", body.ljust(LIMIT)).status_code == 200
    error_json(api.send("/score", body.ljust(LIMIT + 1)), 413, "body_too_large")


def test_an_announced_size_above_the_limit_is_rejected(
    connection: socket.socket,
) -> None:
    connection.sendall(head(*JSON_HEADER, f"Content-Length: {9 << 20}") + b'{"text":')
    status, body = answered(connection)
    assert (status, body["error"]["code"]) == (413, "body_too_large")


def test_a_growing_body_above_the_limit_is_rejected(connection: socket.socket) -> None:
    connection.sendall(head(*JSON_HEADER, "Transfer-Encoding: chunked"))
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    for _ in range(8):
        connection.sendall(chunk)
    connection.sendall(b"1\r\n \r\n")  # one byte over, and the end is never sent
    status, body = answered(connection)
    assert (status, body["error"]["code"]) == (413, "body_too_large")


def test_a_chunked_body_within_the_limit_is_accepted(api: ApiClient) -> None:
    chunks = iter([b'{"te', b'xt": "', "é".encode()[:1], "é".encode()[1:], b'"}'])
    response = api.http.post("/score", content=chunks, headers=JSON_TYPE)
    assert response.status_code == 200
    assert response.json() == api.score(text="é")


def test_a_disconnect_within_a_body_harms_nothing(
    connection: socket.socket, api: ApiClient
) -> None:
    connection.sendall(head(*JSON_HEADER, "Content-Length: 100") + b'{"te')
    connection.close()
    assert api.score(text="a")["results"]


class Noticed(logging.Handler):
    """Sets an event when the service logs that the client of request `leaver` disconnected; clients
    of earlier tests may be logged only now.
    """

    def __init__(self) -> None:
        super().__init__()
        self.client_left = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        left = "the client disconnected" in record.getMessage()
        if left and getattr(record, "request_id", None) == "leaver":
            self.client_left.set()


@pytest.fixture
def noticed(caplog: pytest.LogCaptureFixture) -> Iterator[Noticed]:
    log, handler = logging.getLogger("service.http.middleware"), Noticed()
    caplog.set_level(logging.INFO, log.name)
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


def waits(api: ApiClient) -> bool:
    return 'tiedlm_queue_tokens{lane="bulk"} 0.0' not in api.http.get("/metrics").text


def test_a_disconnect_cancels_queued_work(
    api: ApiClient,
    model: LanguageModel,
    connection: socket.socket,
    noticed: Noticed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All workers wait at a gate. One more request is queued, its client disconnects, the gate
    opens.
    """
    gate, running = threading.Event(), threading.Semaphore(0)
    encode, read = model._engine.encode, list[int]()

    def held(ids: Any, lengths: Any, state: Any) -> Any:
        read.extend(ids.ravel().tolist())
        running.release()
        assert gate.wait(SECONDS)
        return encode(ids, lengths, state)

    monkeypatch.setattr(model._engine, "encode", held)
    body = b'{"token_ids": [[7777, 7777]]}'
    with ThreadPoolExecutor() as pool:
        try:
            for _ in range(model.info.threads):
                pool.submit(api.score, texts=["The city", "A town"])
                assert running.acquire(timeout=SECONDS)
            lines = ("X-Request-Id: leaver", f"Content-Length: {len(body)}")
            connection.sendall(head(*JSON_HEADER, *lines) + body)
            assert any(waits(api) for _ in range(10_000))
            connection.close()
            assert noticed.client_left.wait(SECONDS)
        finally:
            gate.set()
    api.score(text="The city")
    assert read
    assert 7777 not in read
