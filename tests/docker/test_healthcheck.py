"""`python -m service.healthcheck`, the health check of the image."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.api_client import ROOT
from tests.support.server_process import environment


@contextmanager
def health_server(status: int, host: str = "127.0.0.1") -> Iterator[int]:
    """Run a server whose /health/ready returns `status`, and yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health/ready" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def check(port: int, **variables: str) -> "subprocess.CompletedProcess[str]":
    env = environment(TIEDLM_PORT=str(port), **variables)
    command = [sys.executable, "-m", "service.healthcheck"]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "", "[127.0.0.1]", " 0.0.0.0 "])
def test_uses_the_configured_port_for_every_host(host: str) -> None:
    with health_server(200) as port:
        done = check(port, TIEDLM_HOST=host)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_ignores_proxies() -> None:
    with health_server(200) as port:
        assert check(port, http_proxy="http://127.0.0.1:9", HTTP_PROXY="x").returncode == 0


def test_draining_service_is_not_healthy() -> None:
    with health_server(503) as port:
        done = check(port)
    assert done.returncode == 1
    assert done.stderr == "not ready: status 503\n"


def test_missing_service_prints_one_line() -> None:
    with health_server(200) as port:
        pass
    done = check(port)
    assert done.returncode == 1
    assert done.stderr.startswith("not ready: ")
    assert done.stderr.count("\n") == 1


def test_needs_only_the_standard_library() -> None:
    command = [sys.executable, "-S", "-m", "service.healthcheck", "--help"]  # no site-packages
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment()
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m service.healthcheck")
