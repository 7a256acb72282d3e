"""`python -m service` as a separate process: start, request, signal and stop it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.api_client import Json, strict_json

SECONDS = 60.0
TEXT = "The city of Zxqvyk was built on the river."
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+) ")


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of this process without settings of the service."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIEDLM_")}
    return kept | variables


def start(
    *arguments: str,
    options: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
    log: Path | None = None,
) -> "subprocess.Popen[str]":
    """Start the service; its standard error goes to the file `log`, or into a pipe."""
    command = [sys.executable, *options, "-m", "service", "--threads", "1", *arguments]
    env = environment() if env is None else env
    if log is None:
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env)
    with log.open("a") as file:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True, env=env)


def failure(*arguments: str, **variables: str) -> str:
    """Return the single error line of a start that fails."""
    with start(*arguments, env=environment(**variables)) as process:
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


@contextmanager
def running(
    bundle: Path,
    *flags: str,
    options: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
    log: Path | None = None,
    log_level: str = "error",
) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run the service for the block; yield the process and the port that it prints."""
    arguments = ("--bundle", str(bundle), "--port", "0", "--log-level", log_level, *flags)
    with start(*arguments, options=options, env=env, log=log) as process:
        try:
            assert process.stdout is not None
            found = None
            while found is None and (line := process.stdout.readline()):
                found = ADDRESS.search(line)
            assert found is not None, process.communicate()[1]
            yield process, int(found[1])
        finally:
            process.kill()


def http_client(port: int, key: str | None = None) -> httpx.Client:
    """Return an HTTP client for a port of this machine."""
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={} if key is None else {"Authorization": f"Bearer {key}"},
        timeout=SECONDS,
        trust_env=False,
    )


def score(port: int) -> Json:
    with http_client(port) as http:
        response = http.post("/score", json={"text": TEXT, "top": 2})
    assert response.status_code == 200
    return dict(strict_json(response.content))


def stop(process: "subprocess.Popen[str]") -> str:
    """Stop the process with SIGTERM and return its standard error, if that is a pipe."""
    process.send_signal(signal.SIGTERM)
    err = process.communicate(timeout=SECONDS)[1] or ""
    assert process.returncode == 0
    assert "Traceback" not in err
    return err
