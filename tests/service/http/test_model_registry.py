"""Leases: a request keeps its first model, and a replaced model closes after its last request."""

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
    """Return the inference threads that started since `before`."""
    return [t.name for t in threading.enumerate() if t not in before and "inference" in t.name]


def test_a_request_finishes_on_its_first_model(first: LanguageModel, copy: Path) -> None:
    edit_manifest(copy, lambda manifest: manifest.update(name="second"))

    async def live() -> None:
        models = ModelRegistry(first)
        with models.lease() as leased:
            await models.reload()
            with models.lease() as later:
                assert (leased.bundle.manifest.name, later.bundle.manifest.name) == (
                    "starter",
                    "second",
                )
            (passage,) = await leased.encoder.encode_texts(["The city"])
            (old,) = await leased.score([passage] * 1)
            (new,) = await later.score([passage] * 1)
            assert old.logprobs.tolist() == new.logprobs.tolist()
        await models.close()

    asyncio.run(live())


def test_an_old_model_closes_after_its_last_request(first: LanguageModel, copy: Path) -> None:
    before = set(threading.enumerate())

    async def live() -> None:
        models = ModelRegistry(first)
        with models.lease():
            second = await models.reload()
            assert len(workers(before)) == 3
            with models.lease():
                third = await models.reload()
                assert len(workers(before)) == 6
                assert second is not third
            for _ in range(6000):
                if len(workers(before)) == 3:
                    break
                await asyncio.sleep(0.01)
            assert len(workers(before)) == 3
        await models.close()

    asyncio.run(live())
    assert workers(before) == []


def test_a_failed_model_leaves_no_threads(first: LanguageModel, copy: Path) -> None:
    """Its graphs can be loaded but not run, so the workers have started already."""
    before = set(threading.enumerate())
    edit_manifest(copy, lambda manifest: manifest.update(embedding_size=1))

    async def live() -> None:
        models = ModelRegistry(first)
        with pytest.raises(ReloadFailed):
            await models.reload()
        assert models.model is first

    asyncio.run(live())
    assert workers(before) == []


def test_an_unexpected_exception_fails_the_reload(
    first: LanguageModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise MemoryError("in /srv/somewhere")

    monkeypatch.setattr(first, "reload_from", fail)

    async def live() -> None:
        models = ModelRegistry(first)
        with pytest.raises(ReloadFailed) as caught:
            await models.reload()
        assert "somewhere" not in caught.value.message

    asyncio.run(live())
    assert "MemoryError" in caplog.text


@pytest.mark.parametrize("spoil", ["of another bundle", "gone", "no JSON"])
def test_a_failed_reload_names_no_file(copy: Path, tmp_path: Path, spoil: str) -> None:
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
        models = ModelRegistry(first)
        with pytest.raises(ReloadFailed) as caught:
            await models.reload()
        assert "calibration news" in caught.value.message
        assert "/" not in caught.value.message
        await models.close()

    asyncio.run(live())


def test_reloads_wait_for_each_other(first: LanguageModel, copy: Path) -> None:
    before = set(threading.enumerate())

    async def live() -> None:
        models = ModelRegistry(first)
        reloaded = await asyncio.gather(*(models.reload() for _ in range(3)))
        assert models.model is reloaded[-1]
        await models.close()

    asyncio.run(live())
    assert workers(before) == []


def test_no_reference_keeps_a_replaced_model(copy: Path) -> None:
    """Reference counts alone free it; no cycle waits for the garbage collector."""
    gc.disable()
    try:

        async def live() -> None:
            model = LanguageModel(Bundle.load(copy), Settings(bundle=copy, threads=1))
            parts = (model, model.tokenizer, model._engine, model.bundle, model._contexts)
            kept = [weakref.ref(part) for part in parts]
            models = ModelRegistry(model)
            with models.lease() as leased:
                (passage,) = await leased.encoder.encode_texts(["The city"])
                await leased.score([passage])
            del model, parts, leased
            await models.reload()
            for _ in range(1000):
                if not any(ref() for ref in kept):
                    break
                await asyncio.sleep(0.05)
            assert [ref() for ref in kept] == [None] * len(kept)
            await models.close()

        asyncio.run(live())
    finally:
        gc.enable()
