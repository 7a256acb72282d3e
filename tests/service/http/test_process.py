"""`python -m service` as a process: its start, its imports, its end."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from service.bundle import FILES
from tests.support.bundles import flip_a_bit
from tests.support.server_process import SECONDS, environment, failure, running, score, start, stop

FORBIDDEN = ("torch", "onnx", "train", "model_export")


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "bundle"))


def test_a_free_port_is_printed(bundle_path: Path) -> None:
    with running(bundle_path) as (process, port):
        assert port > 0
        assert score(port)["results"][0]["token_count"] > 0
        stop(process)


def test_sigterm_lets_a_request_finish(bundle_path: Path) -> None:
    """The server sends 100 Continue, receives SIGTERM, and responds after the body has arrived."""
    body = b'{"text": "The city"}'
    lines = (
        "POST /score HTTP/1.1",
        "Host: tests",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Expect: 100-continue",
    )
    with (
        running(bundle_path) as (process, port),
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection,
    ):
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert b"100 Continue" in connection.recv(4096)
        process.send_signal(signal.SIGTERM)
        connection.sendall(body)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        connection.close()
        assert process.wait(SECONDS) == 0


def test_changed_bundle_files_change_no_response(copy: Path) -> None:
    with running(copy) as (_, port):
        before = score(port)
        for name in (*FILES, "manifest.json"):
            path = copy / name
            size = path.stat().st_size
            with path.open("r+b") as file:
                file.write(b"\x55" * size)
            assert score(port) == before
            os.truncate(path, size // 2)
            assert score(port) == before
            path.unlink()
            assert score(port) == before


def test_the_service_loads_no_torch_or_other_room(bundle_path: Path, tmp_path: Path) -> None:
    """`-X importtime` prints every import. The forbidden packages are importable here."""
    for package in ("torch", "onnx"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    env = environment(PYTHONPATH=os.pathsep.join([str(tmp_path), str(Path.cwd())]))
    with running(bundle_path, options=("-X", "importtime"), env=env) as (process, port):
        score(port)
        written = stop(process)
    imported = {line.rpartition("|")[2].strip() for line in written.splitlines()}
    assert "onnxruntime" in imported
    assert [name for name in imported if name.partition(".")[0] in FORBIDDEN] == []


def test_importing_the_service_loads_nothing_heavy() -> None:
    code = "import sys, service; print([m for m in ('numpy', 'onnxruntime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_used_port_is_one_line(bundle_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert port in failure("--bundle", str(bundle_path), "--port", port)


def test_an_invalid_flag_is_one_line() -> None:
    line = failure("--port", "http")
    assert "--port" in line
    assert "TIEDLM_PORT" in line


def test_an_invalid_variable_is_one_line() -> None:
    line = failure(TIEDLM_MAX_TEXTS="none")
    assert "--max-texts" in line
    assert "TIEDLM_MAX_TEXTS" in line


def test_a_missing_bundle_is_one_line(tmp_path: Path) -> None:
    assert "missing" in failure("--bundle", str(tmp_path / "missing"), "--port", "0")


def test_a_changed_bundle_is_one_line(copy: Path) -> None:
    flip_a_bit(copy / "weights.bin")
    assert "weights.bin was changed" in failure("--bundle", str(copy), "--port", "0")


def test_a_flag_wins_over_its_variable(tmp_path: Path) -> None:
    missing = str(tmp_path / "flagged")
    line = failure("--bundle", missing, "--port", "0", TIEDLM_BUNDLE=str(tmp_path), TIEDLM_PORT="x")
    assert "flagged" in line


def test_help_lists_every_setting() -> None:
    with start("--help") as process:
        out = process.communicate(timeout=SECONDS)[0]
    assert process.returncode == 0
    for flag in ("--bundle", "--port", "--threads", "--max-request-tokens", "--request-timeout"):
        assert flag in out
