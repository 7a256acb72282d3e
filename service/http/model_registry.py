"""Which model is served, and how one takes another's place without losing a request."""

import asyncio
import logging
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.bundle import Bundle
from service.errors import BundleError, ReloadFailed, StartError
from service.http.trial_load import Trial
from service.language_model import LanguageModel
from service.runtime.freed_memory import return_freed_memory

# How long what a finished request holds of a model may take to go; then memory stays with glibc.
LOOKS, LOOK_SECONDS = 100, 0.05

log = logging.getLogger(__name__)


class ModelRegistry:
    """Every request leases the model that is current when it comes, and keeps it to its end; a
    model that was replaced is closed after its last lease. Lives on the event loop.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        model.publish()
        self.draining = False
        self._leases: Counter[LanguageModel] = Counter()
        self._reloading = asyncio.Lock()
        self._closing: set[asyncio.Future[None]] = set()
        self._trial = Trial()
        self._ends = False

    @contextmanager
    def lease(self) -> Iterator[LanguageModel]:
        model = self.model
        self._leases[model] += 1
        try:
            yield model
        finally:
            self._leases[model] -= 1
            if model is not self.model:
                self._retire(model)

    async def reload(self) -> LanguageModel:
        """Read the configured bundle again, beside the old one, check it, and switch.

        Raises ReloadFailed, and then the old one stays.
        """
        async with self._reloading:
            path, old = self.model.settings.bundle, self.model
            new: LanguageModel | None = None
            reason: str | None = None
            try:
                new = await asyncio.to_thread(_next, self._trial, old, path)
            except StartError as error:
                log.error("the bundle was not reloaded: %s", error.message)
                reason = error.message.replace(f"bundle {path}", "the bundle")
            except Exception:
                log.exception("the bundle was not reloaded")
                reason = "the bundle cannot be loaded, the log says why"
            if new is None:
                await asyncio.to_thread(return_freed_memory)  # of what was loaded until then
                raise ReloadFailed(f"{reason}; the old one is still served")
            self.model = new
            new.publish()
            log.info("serving %s, bundle %s", new.info.name, new.info.bundle_hash[:16])
            self._retire(old)
            return new

    async def close(self) -> None:
        """After the last request."""
        self.end()
        async with self._reloading:
            await asyncio.gather(*self._closing)
            await asyncio.to_thread(self.model.close)

    def end(self) -> None:
        """Wait for no trial of a bundle, and for no memory, from now on."""
        self._ends = True
        self._trial.stop()

    def _retire(self, model: LanguageModel) -> None:
        if not self._leases[model]:
            del self._leases[model]
            closing = asyncio.ensure_future(self._release(model))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _release(self, model: LanguageModel) -> None:
        """Close a model that nobody uses any more, and give its memory back once it is gone."""
        await asyncio.to_thread(model.close)
        gone = weakref.ref(model)
        del model
        for _ in range(LOOKS):
            if self._ends:
                return
            if gone() is None:
                break
            await asyncio.sleep(LOOK_SECONDS)
        await asyncio.to_thread(return_freed_memory)


def _next(trial: Trial, old: LanguageModel, path: Path) -> LanguageModel:
    """Return the model of the bundle at `path`, after it was tried out in another process.

    Raises StartError.
    """
    tried = trial.try_out(path)
    bundle = Bundle.load(path)
    if bundle.hash != tried:
        raise BundleError(f"bundle {path}: it changed while it was loaded; reload again")
    return old.reload_from(bundle)
