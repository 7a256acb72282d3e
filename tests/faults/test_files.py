"""Tests of changes to the bundle's files and of reloads under load."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from service.bundle import FILES
from service.settings import STARTER_BUNDLE
from tests.faults.conftest import PATIENT, Service
from tests.support.api_client import error_json
from tests.support.bundles import flip_a_bit, replace
from tests.support.concurrent_clients import ConcurrentClients
from tests.support.server_process import SECONDS, http_client, running, stop

ADMIN = "key-of-the-admin-00"


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FAULTS: list[Callable[[Path], object]] = [
    *(lambda bundle, name=name: halved(bundle / name) for name in FILES),
    lambda bundle: flip_a_bit(bundle / "weights.bin"),
    lambda bundle: replace(bundle, "encoder.onnx", b"garbage"),
    shutil.rmtree,
]


def test_damaged_files_do_not_change_the_served_bundle(tmp_path: Path) -> None:
    bundle, keys = tmp_path / "bundle", tmp_path / "keys"
    shutil.copytree(STARTER_BUNDLE, bundle)
    keys.write_text(ADMIN)
    flags = (*PATIENT, "--admin-keys-file", str(keys), "--drain-seconds", "0")
    with running(bundle, *flags) as (process, port):
        service = Service(process, port)
        with (
            ConcurrentClients(port, service.answers, clients=4) as clients,
            http_client(port, ADMIN) as admin,
        ):
            for spoil in FAULTS:
                spoil(bundle)
                clients.wait_for(10)
                error_json(admin.post("/admin/reload"), 409, "reload_failed")
                process.send_signal(signal.SIGHUP)
                clients.wait_for(10)
                shutil.rmtree(bundle, ignore_errors=True)
                shutil.copytree(STARTER_BUNDLE, bundle)
            # A signal may have come during the last copy; only the final state counts.
            deadline = time.monotonic() + SECONDS
            while admin.post("/admin/reload").status_code != 200:
                assert time.monotonic() < deadline
            clients.wait_for(10)
        assert (clients.wrong, clients.failures) == (0, {})
        assert service.is_as_before()
        assert "Traceback" not in stop(process)
