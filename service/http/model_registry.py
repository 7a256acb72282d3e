"""ModelRegistry: the model that is served, and its replacement without a lost request."""

import asyncio
import logging
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.bundle import Bundle
from service.errors import BundleError, ReloadFailed, StartError
from service.http.trial_load import TrialLoader
from service.language_model import LanguageModel
from service.runtime.memory import return_freed_memory

# Wait up to 5 s for the last references to a replaced model. After that glibc keeps its memory.
POLLS, POLL_SECONDS = 100, 0.05

log = logging.getLogger(__name__)


class ModelRegistry:
    """The current model and the models that requests still use. Lives on the event loop.

    A request leases the model that is current when it arrives, and keeps it to its end. A replaced
    model is closed after its last lease.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        model.publish()
        self.draining = False
        self._leases: Counter[LanguageModel] = Counter()
        self._reloading = asyncio.Lock()
        self._closing: set[asyncio.Future[None]] = set()
        self._trial_loader = TrialLoader()
        self._ending = False

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
        """Load the configured bundle next to the current one, check it, switch, and return it.

        Raise ReloadFailed; the current model then stays.
        """
        async with self._reloading:
            path, old = self.model.settings.bundle, self.model
            new: LanguageModel | None = None
            reason: str | None = None
            try:
                new = await asyncio.to_thread(_load_next, self._trial_loader, old, path)
            except StartError as error:
                log.error("the bundle was not reloaded: %s", error.message)
                reason = error.message.replace(f"bundle {path}", "the bundle")
            except Exception:
                log.exception("the bundle was not reloaded")
                reason = "the bundle cannot be loaded; the log has the reason"
            if new is None:
                await asyncio.to_thread(return_freed_memory)  # of the part that was loaded
                raise ReloadFailed(f"{reason}; the old one is still served")
            self.model = new
            new.publish()
            log.info("serving %s, bundle %s", new.info.name, new.info.bundle_hash[:16])
            self._retire(old)
            return new

    async def close(self) -> None:
        """Close the current model. Call it after the last request."""
        self.end()
        async with self._reloading:
            await asyncio.gather(*self._closing)
            await asyncio.to_thread(self.model.close)

    def end(self) -> None:
        """Stop the trial load of a bundle and the wait for freed memory."""
        self._ending = True
        self._trial_loader.stop()

    def _retire(self, model: LanguageModel) -> None:
        if not self._leases[model]:
            del self._leases[model]
            closing = asyncio.ensure_future(self._release(model))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _release(self, model: LanguageModel) -> None:
        """Close a model without leases, and return its memory to the system once it is deleted."""
        await asyncio.to_thread(model.close)
        reference = weakref.ref(model)
        del model
        for _ in range(POLLS):
            if self._ending:
                return
            if reference() is None:
                break
            await asyncio.sleep(POLL_SECONDS)
        await asyncio.to_thread(return_freed_memory)


def _load_next(loader: TrialLoader, current: LanguageModel, path: Path) -> LanguageModel:
    """Return the model of the bundle at `path`, after a trial load of it in another process.

    Raise StartError.
    """
    tried_hash = loader.try_load(path)
    bundle = Bundle.load(path)
    if bundle.hash != tried_hash:
        raise BundleError(f"bundle {path}: it changed while it was loaded; reload again")
    return current.reload_from(bundle)
