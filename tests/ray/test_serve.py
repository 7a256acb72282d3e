"""The service on Ray Serve: replicas answer as the service does, and take each other's states."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.bundle import Bundle
from service.errors import StartError
from service.language_model import LanguageModel
from service.settings import STARTER_BUNDLE, Settings
from tests.service.served import served

pytestmark = pytest.mark.usefixtures("cluster")

TEXT = {"text": "The city of Zxqvyk", "return_state": True, "eos": False}


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "key"
    path.write_bytes(os.urandom(32).hex().encode())
    monkeypatch.setenv("TIEDLM_STATE_KEY_FILE", str(path))
    return path


@pytest.fixture
def replicas(key: Path) -> Iterator[httpx.Client]:
    from ray import serve

    from service.ray_app import build

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(build({"min_replicas": "2", "max_replicas": "2"}))
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as http:
        yield http
    serve.shutdown()


def test_replicas_answer_as_the_service(replicas: httpx.Client, key: Path) -> None:
    settings = Settings(threads=1, state_key_file=key)
    with (
        served(LanguageModel(Bundle.load(STARTER_BUNDLE), settings)) as (host, port),
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


def test_several_replicas_need_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from service.ray_app import build

    monkeypatch.delenv("TIEDLM_STATE_KEY_FILE", raising=False)
    with pytest.raises(StartError, match="TIEDLM_STATE_KEY_FILE"):
        build({"max_replicas": "2"})
