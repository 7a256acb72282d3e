"""Leases: a request keeps the model it began with, and a model ends after its last request."""

import asyncio
import gc
import shutil
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.bundle import Bundle
from service.errors import ReloadFailed
from service.http.model_registry import ModelRegistry
from service.language_model import LanguageModel
from service.results.calibration import Histogram
from service.settings import Settings
from tests.support.bundles import edit_manifest


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "bundle"))


@pytest.fixture
def first(copy: Path) -> Iterator[LanguageModel]:
    made = LanguageModel(Bundle.load(copy), Settings(bundle=copy, threads=3))
    yield made
    made.close()


def workers(before: set[threading.Thread]) -> list[str]:
    """Inference threads that were started since."""
    return [t.name for t in threading.enumerate() if t not in before and "inference" in t.name]


def test_a_request_finishes_on_the_model_that_it_began_with(
    first: LanguageModel, copy: Path
) -> None:
    edit_manifest(copy, lambda manifest: manifest.update(name="second"))

    async def live() -> None:
        serving = ModelRegistry(first)
        with serving.lease() as leased:
            await serving.reload()
            with serving.lease() as later:
                assert (leased.bundle.manifest.name, later.bundle.manifest.name) == (
                    "starter",
                    "second",
                )
            (passage,) = await leased.encoder.encode_texts(["The city"])
            (old,) = await leased.score([passage] * 1)
            (new,) = await later.score([passage] * 1)
            assert old.logprobs.tolist() == new.logprobs.tolist()
        await serving.close()

    asyncio.run(live())


def test_the_old_models_threads_end_after_its_last_request(
    first: LanguageModel, copy: Path
) -> None:
    before = set(threading.enumerate())

    async def live() -> None:
        serving = ModelRegistry(first)
        with serving.lease():
            second = await serving.reload()
            assert len(workers(before)) == 3
            with serving.lease():
                third = await serving.reload()
                assert len(workers(before)) == 6
                assert second is not third
            for _ in range(6000):
                if len(workers(before)) == 3:
                    break
                await asyncio.sleep(0.01)
            assert len(workers(before)) == 3
        await serving.close()

    asyncio.run(live())
    assert workers(before) == []


def test_a_model_that_cannot_be_made_leaves_no_threads(first: LanguageModel, copy: Path) -> None:
    """Its graphs can be read, but not run: the workers had started already."""
    before = set(threading.enumerate())
    edit_manifest(copy, lambda manifest: manifest.update(embedding_size=1))

    async def live() -> None:
        serving = ModelRegistry(first)
        with pytest.raises(ReloadFailed):
            await serving.reload()
        assert serving.model is first

    asyncio.run(live())
    assert workers(before) == []


def test_an_unforeseen_failure_is_a_refusal_too(
    first: LanguageModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise MemoryError("in /srv/somewhere")

    monkeypatch.setattr(first, "reload_from", fail)

    async def live() -> None:
        serving = ModelRegistry(first)
        with pytest.raises(ReloadFailed) as caught:
            await serving.reload()
        assert "somewhere" not in caught.value.message

    asyncio.run(live())
    assert "MemoryError" in caplog.text


@pytest.mark.parametrize("spoil", ["of another bundle", "gone", "no JSON"])
def test_a_refusal_names_a_calibration_and_no_file(copy: Path, tmp_path: Path, spoil: str) -> None:
    bundle, table = Bundle.load(copy), tmp_path / "table.json"
    histogram = Histogram()
    histogram.add(5.0)
    table.write_text(histogram.calibration("starter", bundle.hash).dumps())
    settings = Settings(bundle=copy, threads=1, calibration=(f"news={table}",))
    first = LanguageModel(bundle, settings)
    if spoil == "of another bundle":
        edit_manifest(copy, lambda manifest: manifest.update(name="second"))
    elif spoil == "gone":
        table.unlink()
    else:
        table.write_text("{")

    async def live() -> None:
        serving = ModelRegistry(first)
        with pytest.raises(ReloadFailed) as caught:
            await serving.reload()
        assert "calibration news" in caught.value.message
        assert "/" not in caught.value.message
        await serving.close()

    asyncio.run(live())


def test_reloads_wait_for_each_other(first: LanguageModel, copy: Path) -> None:
    before = set(threading.enumerate())

    async def live() -> None:
        serving = ModelRegistry(first)
        reloaded = await asyncio.gather(*(serving.reload() for _ in range(3)))
        assert serving.model is reloaded[-1]
        await serving.close()

    asyncio.run(live())
    assert workers(before) == []


def test_nothing_keeps_a_model_that_was_replaced(copy: Path) -> None:
    """Reference counts alone free it: no circle waits for Python to find it."""
    gc.disable()
    try:

        async def live() -> None:
            model = LanguageModel(Bundle.load(copy), Settings(bundle=copy, threads=1))
            parts = (model, model.tokenizer, model._engine, model.bundle, model._contexts)
            kept = [weakref.ref(part) for part in parts]
            serving = ModelRegistry(model)
            with serving.lease() as leased:
                (passage,) = await leased.encoder.encode_texts(["The city"])
                await leased.score([passage])
            del model, parts, leased
            await serving.reload()
            for _ in range(1000):
                if not any(ref() for ref in kept):
                    break
                await asyncio.sleep(0.05)
            assert [ref() for ref in kept] == [None] * len(kept)
            await serving.close()

        asyncio.run(live())
    finally:
        gc.enable()
