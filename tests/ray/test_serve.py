"""The service on Ray Serve: replicas return the service's scores and share their states."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.bundle import Bundle
from service.errors import StartError
from service.language_model import LanguageModel
from service.settings import STARTER_BUNDLE, Settings
from tests.support.http_server import serve_with

pytestmark = pytest.mark.usefixtures("cluster")

SECONDS = 180
TEXT: dict[str, Any] = {"text": "The city of Zxqvyk", "return_state": True, "eos": False}


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "key"
    path.write_bytes(os.urandom(32).hex().encode())
    monkeypatch.setenv("TIEDLM_STATE_KEY_FILE", str(path))
    return path


@contextmanager
def deployed(**arguments: str) -> Iterator[httpx.Client]:
    from ray import serve

    from service.ray_app import build

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(build(arguments))
    url = f"http://127.0.0.1:{port}"
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=0)
    with httpx.Client(base_url=url, timeout=120, trust_env=False, limits=limits) as http:
        yield http
    serve.shutdown()


@pytest.fixture
def replicas(key: Path) -> Iterator[httpx.Client]:
    with deployed(min_replicas="2", max_replicas="2") as http:
        yield http


def test_replicas_return_the_services_scores(replicas: httpx.Client, key: Path) -> None:
    settings = Settings(threads=1, state_key_file=key)
    with (
        serve_with(LanguageModel(Bundle.load(STARTER_BUNDLE), settings)) as (host, port),
        httpx.Client(base_url=f"http://{host}:{port}", trust_env=False) as single,
    ):
        expected = single.post("/score", json=TEXT).json()
        answers = [replicas.post("/score", json=TEXT).json() for _ in range(8)]
        states = [answer["results"][0].pop("state") for answer in answers]
        del expected["results"][0]["state"]
        assert all(answer == expected for answer in answers)
        for handle in states:
            more = {"text": "a", "state": handle}
            ways = [http.post("/score", json=more).json()["results"] for http in (replicas, single)]
            assert ways[0] == ways[1]
        assert replicas.post("/score", json={"text": 5}).status_code == 422
        assert replicas.get("/health/ready").status_code == 200


def running() -> int:
    from ray import serve

    (application,) = serve.status().applications.values()
    (deployment,) = application.deployments.values()
    count: int = dict(deployment.replica_states).get("RUNNING", 0)
    return count


def wait_for(replicas: int) -> None:
    deadline = time.monotonic() + SECONDS
    while running() != replicas:
        assert time.monotonic() < deadline, f"{running()} replicas, not {replicas}"
        time.sleep(0.5)


def test_scaling_replicas_loses_no_request(key: Path) -> None:
    """22 of the 24 clients end when two replicas run; then one replica drains under load."""
    scaling = {"target_requests": "4", "upscale_seconds": "1", "downscale_seconds": "2"}
    body = {"texts": [TEXT["text"]] * 64, "tokens": False}
    enough, all_of_it = threading.Event(), threading.Event()
    with deployed(min_replicas="1", max_replicas="2", **scaling) as http:
        expected = http.post("/score", json=body).json()

        def ask(client: int) -> list[bool]:
            found = []
            while not all_of_it.is_set() and (client < 2 or not enough.is_set()):
                answer = http.post("/score", json=body)
                found.append(answer.status_code == 429 or answer.json() == expected)
            return found

        assert running() == 1
        with ThreadPoolExecutor(24) as pool:
            asked = [pool.submit(ask, client) for client in range(24)]
            try:
                wait_for(2)
                enough.set()
                wait_for(1)
            finally:
                enough.set()
                all_of_it.set()
            answers = [answer for client in asked for answer in client.result()]
    assert len(answers) > 100
    assert all(answers)


def test_several_replicas_need_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from service.ray_app import build

    monkeypatch.delenv("TIEDLM_STATE_KEY_FILE", raising=False)
    with pytest.raises(StartError, match="TIEDLM_STATE_KEY_FILE"):
        build({"max_replicas": "2"})
