"""Tests that each request is a span without its text, with the extra `tracing`."""

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi import FastAPI

from service.errors import StartError
from service.http.tracing import enable_tracing
from service.settings import STARTER_BUNDLE
from tests.support.server_process import SECONDS, environment, http_client, running, stop

pytest.importorskip("opentelemetry.sdk.trace", reason="needs the extra `tracing`")
pytest.importorskip("opentelemetry.instrumentation.fastapi", reason="needs the extra `tracing`")

MARKER = "Zxqvykmarker"


@dataclass
class Collector:
    """A fake OpenTelemetry collector that keeps what it receives."""

    port: int = 0
    received: bytes = b""
    paths: set[str] = field(default_factory=set)
    some: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def collector() -> Iterator[Collector]:
    collected = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collected.received += self.rfile.read(int(self.headers["Content-Length"]))
            collected.paths.add(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            collected.some.set()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collected.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield collected
        server.shutdown()
        thread.join()


def test_a_request_is_a_span_without_its_text(collector: Collector) -> None:
    env = environment(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}",
        OTEL_BSP_SCHEDULE_DELAY="100",
    )
    flags = ("--tracing", "true", "--drain-seconds", "0")
    with running(STARTER_BUNDLE, *flags, env=env) as (process, port):
        with http_client(port) as http:
            http.get("/health/live")
            http.get("/metrics")
            http.post("/score", json={"text": MARKER})
            http.post("/score", json={"text": MARKER, "unit": MARKER})
            http.post("/next-token", json={"context": MARKER})
        assert collector.some.wait(SECONDS)
        stop(process)
    assert collector.paths == {"/v1/traces"}
    for said in (b"tiedlm", b"POST /score", b"POST /next-token"):
        assert said in collector.received
    for secret in (MARKER.encode(), b"/health/live", b"/metrics"):
        assert secret not in collector.received


def test_a_start_without_the_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(StartError, match=r"in the clone of tiedlm: pip install '\.\[tracing\]'"):
        enable_tracing(FastAPI())
