"""A trial load runs in a process that may hang or crash, while the old model is served."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.bundle import Bundle
from service.errors import BundleError, ReloadFailed
from service.http import trial_load
from service.http.model_registry import ModelRegistry
from service.http.trial_load import MIN_ADDRESS_BYTES, TrialLoader, main
from service.language_model import LanguageModel
from service.settings import Settings
from tests.support.bundles import edit_manifest, replace


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "bundle"))


@pytest.fixture
def first(copy: Path) -> Iterator[LanguageModel]:
    made = LanguageModel(Bundle.load(copy), Settings(bundle=copy, threads=1))
    yield made
    made.close()


def error_of(bundle: Path) -> str:
    with pytest.raises(BundleError) as found:
        TrialLoader().try_load(bundle)
    assert "\n" not in found.value.message
    assert "Traceback" not in found.value.message
    return found.value.message


def without_numbers(bundle: Path) -> None:
    replace(bundle, "weights.bin", b"\xff" * (bundle / "weights.bin").stat().st_size)


def exploding(bundle: Path) -> None:
    content = json.loads((bundle / "tokenizer.json").read_text())
    double = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    content["normalizer"] = {"type": "Sequence", "normalizers": [double] * 60}
    replace(bundle, "tokenizer.json", json.dumps(content).encode())


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "weights without numbers": (without_numbers, "not finite"),
    "an exploding normalizer": (exploding, "normalizer"),
    "no such folder": (shutil.rmtree, "no such directory"),
    "an absurd size": (
        lambda bundle: edit_manifest(bundle, lambda m: m.update(state_size=10**18)),
        "state_size",
    ),
}


def test_a_valid_bundle_returns_its_hash(copy: Path) -> None:
    assert TrialLoader().try_load(copy) == Bundle.load(copy).hash


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_bundle_is_one_line(copy: Path, kind: str) -> None:
    damage, message = BROKEN[kind]
    damage(copy)
    assert message in error_of(copy)


def replace_trial_load(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the other process run this code instead of a trial load."""
    start = subprocess.Popen

    def other(_: list[str], **options: Any) -> Any:
        return start([sys.executable, "-c", code], **options)

    monkeypatch.setattr(subprocess, "Popen", other)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os.abort()", "status -6"),
        ("import os; os.kill(os.getpid(), 9)", "status -9"),
        ("raise MemoryError('in /srv/x')", "ended with status 1"),
        ("import time; time.sleep(1000)", "not loaded within 2 seconds"),
    ],
)
def test_a_crash_fails_the_trial_load(
    first: LanguageModel, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    replace_trial_load(code, monkeypatch)
    if "sleep" in code:
        monkeypatch.setattr(trial_load, "MIN_SECONDS", 1.0)

    async def live() -> None:
        models = ModelRegistry(first)
        with pytest.raises(ReloadFailed, match=message) as found:
            await models.reload()
        assert "/" not in found.value.message
        assert "\n" not in found.value.message
        assert models.model is first

    asyncio.run(live())


def test_a_bundle_that_changes_is_rejected(
    first: LanguageModel, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_load = TrialLoader.try_load

    def tried_and_changed(self: TrialLoader, path: Path) -> str:
        tried = try_load(self, path)
        edit_manifest(copy, lambda manifest: manifest.update(name="other"))
        return tried

    monkeypatch.setattr(TrialLoader, "try_load", tried_and_changed)

    async def live() -> None:
        models = ModelRegistry(first)
        with pytest.raises(ReloadFailed, match="changed"):
            await models.reload()
        assert models.model is first

    asyncio.run(live())


def test_shutdown_does_not_wait_for_a_trial_load(
    first: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits neither for a running trial load nor for a later one."""
    replace_trial_load("import time; time.sleep(1000)", monkeypatch)

    async def live() -> None:
        models = ModelRegistry(first)
        async with asyncio.timeout(60):
            reloads = [asyncio.ensure_future(models.reload()) for _ in range(2)]
            while models._trial_loader._process is None:
                await asyncio.sleep(0.01)
            await models.close()
            for reload in reloads:
                with pytest.raises(ReloadFailed, match="the service is shutting down"):
                    await reload

    asyncio.run(live())


def test_shutdown_does_not_wait_for_memory(
    first: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference keeps the replaced model, here one of this test."""
    monkeypatch.setattr("service.http.model_registry.POLLS", 10**9)

    async def live() -> None:
        models = ModelRegistry(first)
        await models.reload()
        async with asyncio.timeout(60):
            await models.close()

    asyncio.run(live())


@pytest.mark.parametrize("arguments", [[], ["bundle"], ["bundle", "many"], ["a", "1", "2"]])
def test_wrong_arguments_print_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == "usage: python -m service.http.trial_load BUNDLE BYTES\n"


def run_main(copy: Path, before: str, after: str = "") -> str:
    code = f"from service.http.trial_load import main; import sys, resource; {before}; "
    code += f"main([{str(copy)!r}, '0']); {after}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_lower_existing_limit_is_kept(copy: Path) -> None:
    most = MIN_ADDRESS_BYTES - (1 << 20)
    out = run_main(
        copy,
        f"resource.setrlimit(resource.RLIMIT_AS, ({most}, {most}))",
        "print(resource.getrlimit(resource.RLIMIT_AS)[0])",
    )
    assert out.split() == [Bundle.load(copy).hash, str(most)]


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="this is not Linux")
def test_linux_ends_a_trial_load_first(copy: Path) -> None:
    out = run_main(copy, "pass", "print(open('/proc/self/oom_score_adj').read())")
    assert out.split()[-1] == "1000"
