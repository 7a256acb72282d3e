"""Tests that reloads release memory: that of replaced and of rejected bundles."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from service.bundle import FILES
from service.settings import STARTER_BUNDLE
from tests.faults.conftest import LONG, PATIENT
from tests.support.api_client import error_json, ok_json
from tests.support.bundles import edit_manifest, replace
from tests.support.server_process import http_client, running

ADMIN = "key-of-the-admin-00"
RELOADS = 100 if LONG else 6
SECONDS = 120.0
TEXT = "The old river runs through the city. " * 30


def anonymous_bytes(pid: int) -> int:
    """Return the memory of the process without the pages of shared libraries."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Anonymous":
            return int(value.split()[0]) * 1024
    raise AssertionError("no such line")


class Reloaded:
    def __init__(self, http: httpx.Client, pid: int, bundle: Path) -> None:
        self.http, self.bundle = http, bundle
        self._pid = pid
        self.ask()
        self._first = anonymous_bytes(pid)
        self._most = 1.1 * self._first + sum((bundle / name).stat().st_size for name in FILES)

    def ask(self) -> None:
        """Send requests that fill caches and arenas: long texts, contexts, a completion."""
        ok_json(self.http.post("/score", json={"text": TEXT, "top": 5, "details": True}))
        ok_json(self.http.post("/next-token", json={"context": TEXT, "top_k": 1000}))
        body = {
            "model": "tiedlm",
            "prompt": "The old",
            "max_tokens": 5,
            "echo": True,
            "logprobs": 2,
        }
        ok_json(self.http.post("/v1/completions", json=body))

    def is_as_small_as_at_first(self) -> None:
        """Wait for the memory of the start; a replaced model is freed after its last request."""
        end = time.monotonic() + SECONDS
        while (now := anonymous_bytes(self._pid)) > self._most:
            assert time.monotonic() < end, f"{now} bytes, {self._first} at first"
            time.sleep(0.1)


@pytest.fixture
def reloaded(tmp_path: Path) -> Iterator[Reloaded]:
    bundle = Path(shutil.copytree(STARTER_BUNDLE, tmp_path / "bundle"))
    keys = tmp_path / "keys"
    keys.write_text(ADMIN)
    with (
        running(bundle, *PATIENT, "--admin-keys-file", str(keys)) as (process, port),
        http_client(port, ADMIN) as http,
    ):
        yield Reloaded(http, process.pid, bundle)


def test_reloads_leave_memory_as_it_was(reloaded: Reloaded) -> None:
    for number in range(RELOADS):
        numbered(reloaded.bundle, number)
        ok_json(reloaded.http.post("/admin/reload"))
        reloaded.ask()
    reloaded.is_as_small_as_at_first()


def numbered(bundle: Path, number: int) -> None:
    """Write the same model as a bundle with another hash."""
    edit_manifest(bundle, lambda manifest: manifest["training"].update(number=number))


def no_graph(bundle: Path) -> None:
    replace(bundle, "decoder.onnx", b"no graph")


def another_width(bundle: Path) -> None:
    edit_manifest(bundle, lambda manifest: manifest.update(embedding_size=1))


@pytest.mark.parametrize("spoil", [no_graph, another_width])
def test_rejected_reloads_leave_memory_as_it_was(
    reloaded: Reloaded, spoil: Callable[[Path], None]
) -> None:
    spoil(reloaded.bundle)
    for _ in range(RELOADS):
        error_json(reloaded.http.post("/admin/reload"), 409, "reload_failed")
        reloaded.ask()
    reloaded.is_as_small_as_at_first()
