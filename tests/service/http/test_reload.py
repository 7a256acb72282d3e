"""Reloads: the served bundle is replaced without a lost request, and a failed reload changes
nothing.
"""

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx
import pytest

from service.bundle import FILES
from tests.support.api_client import error_json, ok_json
from tests.support.bundles import edit_manifest, flip_a_bit, replace
from tests.support.concurrent_clients import ConcurrentClients, reference
from tests.support.server_process import http_client, running, score

ADMIN = "key-of-the-admin-00"
SECONDS = 300.0  # of a busy machine, with a clients of clients


@dataclass
class Service:
    process: "Popen[str]"
    port: int
    bundle: Path
    pristine: Path
    log: Path

    def reload(self) -> httpx.Response:
        with http_client(self.port, ADMIN) as http:
            return http.post("/admin/reload")

    def bundle_hash(self) -> str:
        with http_client(self.port) as http:
            return str(http.get("/info").json()["bundle_hash"])

    def described(self) -> list[str]:
        """Return the bundles in the metrics."""
        with http_client(self.port) as http:
            lines = http.get("/metrics").text.splitlines()
        return [line for line in lines if line.startswith("tiedlm_bundle_info{")]

    def restore(self) -> None:
        """Restore the files, but not the served model."""
        shutil.rmtree(self.bundle, ignore_errors=True)
        shutil.copytree(self.pristine, self.bundle)


@pytest.fixture(scope="module")
def service(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("reload")
    copy = Path(shutil.copytree(bundle_path, folder / "bundle"))
    keys, log = folder / "admin", folder / "log"
    keys.write_text(ADMIN)
    flags = ("--admin-keys-file", str(keys), "--max-queue-seconds", "60")
    with running(copy, *flags, log=log, log_level="info") as (process, port):
        yield Service(process, port, copy, bundle_path, log)


def renamed(bundle: Path, number: int) -> None:
    """Give the same model a bundle of another hash."""
    edit_manifest(bundle, lambda manifest: manifest["training"].update({"number": number}))


def test_reloads_under_load_lose_no_request(service: Service) -> None:
    """Five reloads by HTTP, five by signal; every response stays the same."""
    answers = reference(service.port)
    seen = {service.bundle_hash()}
    with ConcurrentClients(service.port, answers, clients=16) as clients:
        for number in range(10):
            renamed(service.bundle, number)
            before = service.bundle_hash()
            if number % 2:
                assert service.reload().status_code == 200
            else:
                service.process.send_signal(signal.SIGHUP)
            end = time.monotonic() + SECONDS
            while service.bundle_hash() == before:
                assert time.monotonic() < end
                time.sleep(0.02)
            seen.add(service.bundle_hash())
            assert len(service.described()) == 1
            clients.wait_for(20)
    assert len(seen) == 11
    assert (clients.wrong, clients.failures) == (0, {})


def unlink(name: str) -> Callable[[Path], object]:
    return lambda bundle: (bundle / name).unlink()


def garbage(name: str) -> Callable[[Path], object]:
    return lambda bundle: replace(bundle, name, b"\x00 no such thing")


def exchanged(bundle: Path) -> None:
    """Swap the two graphs."""
    encoder, decoder = ((bundle / name).read_bytes() for name in ("encoder.onnx", "decoder.onnx"))
    replace(bundle, "encoder.onnx", decoder)
    replace(bundle, "decoder.onnx", encoder)


def truncated(bundle: Path) -> None:
    content = (bundle / "weights.bin").read_bytes()
    (bundle / "weights.bin").write_bytes(content[: len(content) // 2])


def cut(bundle: Path) -> None:
    """Halve the weights, and put their new hash into the manifest."""
    content = (bundle / "weights.bin").read_bytes()
    replace(bundle, "weights.bin", content[: len(content) // 2])


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    **{f"no {name}": (unlink(name), name) for name in ("manifest.json", *FILES)},
    **{f"garbage in {name}": (garbage(name), name) for name in FILES if name != "weights.bin"},
    "no directory": (shutil.rmtree, "no such directory"),
    "a bit flipped": (lambda bundle: flip_a_bit(bundle / "weights.bin"), "was changed"),
    "truncated": (truncated, "bytes"),
    "half the weights": (cut, "encoder.onnx"),
    "another format": (
        lambda bundle: edit_manifest(bundle, lambda m: m.update(format_version=3)),
        "format version",
    ),
    "no JSON": (lambda bundle: (bundle / "manifest.json").write_text("{"), "manifest.json"),
    "another width": (
        lambda bundle: edit_manifest(bundle, lambda m: m.update(state_size=m["state_size"] + 1)),
        "width",
    ),
    "other graphs": (exchanged, "graphs"),
    "another tokenizer": (
        lambda bundle: edit_manifest(bundle, lambda m: m.update(vocabulary_size=17)),
        "tokenizer.json",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_bundle_keeps_the_old_model(service: Service, kind: str) -> None:
    spoil, said = BROKEN[kind]
    service.restore()
    before, served, described = (
        score(service.port),
        service.bundle_hash(),
        service.described(),
    )
    spoil(service.bundle)
    refusal = error_json(service.reload(), 409, "reload_failed")
    assert said in refusal["message"]
    assert "the old one is still served" in refusal["message"]
    assert str(service.bundle) not in refusal["message"]
    assert "/" not in refusal["message"]
    assert score(service.port) == before
    assert service.bundle_hash() == served
    assert service.described() == described
    assert len(described) == 1


def test_a_failed_reload_by_signal_is_logged(service: Service) -> None:
    service.restore()
    before = score(service.port)
    (service.bundle / "manifest.json").unlink()
    said = service.log.read_text().count("the bundle was not reloaded")
    service.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + SECONDS
    while service.log.read_text().count("the bundle was not reloaded") == said:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert score(service.port) == before


def test_states_stay_valid_for_the_same_bundle(service: Service) -> None:
    service.restore()
    assert service.reload().status_code == 200
    with http_client(service.port) as http:
        asked = {"context": "The capital of", "return_state": True}
        state = ok_json(http.post("/next-token", json=asked))["state"]
        onwards = {"context": " the north", "state": state}
        before = ok_json(http.post("/next-token", json=onwards))
        assert service.reload().status_code == 200
        assert ok_json(http.post("/next-token", json=onwards)) == before
        renamed(service.bundle, -1)
        assert service.reload().status_code == 200
        error_json(http.post("/next-token", json=onwards), 422, "invalid_state")


def test_a_reload_returns_the_new_model(service: Service) -> None:
    service.restore()
    renamed(service.bundle, -2)
    edit_manifest(service.bundle, lambda manifest: manifest.update(name="renamed"))
    reloaded = ok_json(service.reload())
    assert reloaded == {"model": "renamed", "bundle_hash": service.bundle_hash()}
    (line,) = service.described()
    assert 'name="renamed"' in line
    assert reloaded["bundle_hash"] in line
    assert json.loads((service.bundle / "manifest.json").read_text())["name"] == "renamed"
