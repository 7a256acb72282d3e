"""Log lines are one JSON object each, and never hold the text of a request."""

import json
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.api_client import Json
from tests.support.server_process import environment, http_client, running, stop

MARKER, KEY, OTHER_KEY = "Zxqvykmarker", "key-one-0123456789", "key-wrong-9876543210"
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [\w.]+: .+")


def ask_everything(http: httpx.Client, port: int) -> None:
    """Send good and bad requests to every route, each with the marker in its text."""
    bad_key = {"Authorization": f"Bearer {OTHER_KEY}"}
    http.post("/score", json={"text": f"The {MARKER}"}, headers={"X-Request-Id": "req-1"})
    http.post("/score", json={"texts": [MARKER] * 500, "tokens": False})
    http.post("/score", json={"text": MARKER, "unit": MARKER})
    http.post("/score", json={MARKER: 1})
    http.post(
        "/score", content=f'{{"text": "{MARKER}', headers={"Content-Type": "application/json"}
    )
    http.post("/score", content=MARKER)
    http.post("/score", json={"text": MARKER, "targets": [[{MARKER: 1.0}]]})
    http.post("/score", json={"text": MARKER, "state": MARKER})
    http.post("/next-token", json={"context": MARKER, "candidates": [MARKER, f"{MARKER} a"]})
    http.post("/rescore", json={"hypotheses": [{"text": MARKER, "id": MARKER}]})
    http.post("/v1/completions", json={"prompt": MARKER, "model": MARKER})
    http.post("/v1/completions", json={"prompt": MARKER, "stream": True, "max_tokens": 2})
    http.post("/tokenize", json={"prompt": MARKER})
    http.get(f"/{MARKER}")
    http.get(f"/info?{MARKER}={MARKER}")
    http.get(f"/v1/models/{MARKER}")
    http.post("/score", json={"text": MARKER}, headers=bad_key)
    http.post("/score", json={"text": MARKER}, headers={"X-Request-Id": f"{MARKER} no id"})
    for spoken in (
        f"{MARKER}\r\n\r\n",
        f"POST /score HTTP/1.1\r\nContent-Length: 99\r\n\r\n{MARKER}",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(spoken.encode())


@dataclass
class Written:
    text: str

    @property
    def objects(self) -> list[Json]:
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, request_id: str) -> Json:
        (found,) = (o for o in self.objects if o.get("request_id") == request_id)
        return dict(found)


def written(bundle: Path, folder: Path, kind: str) -> Written:
    log = folder / "log"
    flags = ("--log-format", kind, "--drain-seconds", "0")
    env = environment(TIEDLM_API_KEYS=KEY)
    with running(bundle, *flags, env=env, log=log, log_level="debug") as (process, port):
        with http_client(port, KEY) as http:
            ask_everything(http, port)
        stop(process)
    return Written(log.read_text())


@pytest.fixture(scope="module")
def as_json(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written(bundle_path, tmp_path_factory.mktemp("json"), "json")


@pytest.fixture(scope="module")
def as_text(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written(bundle_path, tmp_path_factory.mktemp("text"), "text")


def test_every_line_is_one_object(as_json: Written) -> None:
    assert len(as_json.objects) > 20
    for line in as_json.objects:
        assert {"time", "level", "logger", "message"} <= set(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d{4}|Z)", line["time"])


def test_a_request_has_its_line(as_json: Written) -> None:
    line = as_json.of("req-1")
    assert (line["method"], line["route"], line["status"]) == ("POST", "/score", 200)
    assert line["tokens"] == 3
    assert line["milliseconds"] > 0
    assert line["level"] == "INFO"


def test_every_request_has_a_line_with_its_route(as_json: Written) -> None:
    lines = [line for line in as_json.objects if "route" in line]
    assert {line["route"] for line in lines} >= {"/score", "/v1/models/{name}", "unmatched"}
    assert {line["status"] for line in lines} >= {200, 400, 401, 404, 415, 422}
    assert len({line["request_id"] for line in lines}) == len(lines)


def test_text_lines_are_one_line_each(as_text: Written) -> None:
    lines = as_text.text.splitlines()
    assert len(lines) > 20
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert any("POST /score 200 3 " in line and line.endswith(" req-1") for line in lines)


@pytest.mark.parametrize("kind", ["as_json", "as_text"])
def test_no_line_holds_text_or_keys(kind: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(kind).text
    for secret in (MARKER, MARKER.lower(), KEY, OTHER_KEY, "Bearer"):
        assert secret not in text


SCRIPT = """
import logging, warnings
from service.runtime.logs import configure_logging
configure_logging("info", {kind!r})
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("a.b").exception("two\\nlines", extra={{"request_id": "r"}})
warnings.warn("old")
"""


def lines_of(kind: str | None) -> list[str]:
    command = [sys.executable, "-c", SCRIPT.format(kind=kind)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()


@pytest.mark.parametrize("kind", ["json", None])
def test_a_traceback_stays_in_its_line(kind: str | None) -> None:
    """JSON is the default unless standard error is a terminal."""
    failed, warned = map(json.loads, lines_of(kind))
    assert "ZeroDivisionError" in failed["exc_info"]
    assert (failed["message"], failed["request_id"]) == ("two\nlines", "r")
    assert "old" in warned["message"]


def test_levels_below_the_one_chosen_are_not_written(bundle_path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(bundle_path, "--drain-seconds", "0", log=log) as (process, port):
        with http_client(port) as http:
            http.post("/score", json={"text": "a"})
        stop(process)
    assert log.read_text() == ""
