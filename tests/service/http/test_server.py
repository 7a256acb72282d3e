"""The server's own signals: several SIGHUPs during a reload cause one more reload."""

import asyncio
from typing import cast

import pytest

from service.errors import ReloadFailed
from service.http.model_registry import ModelRegistry
from service.http.server import Server
from service.settings import Settings


class SlowRegistry:
    """A registry whose reloads wait to be finished, and fail if asked."""

    def __init__(self, fails: bool) -> None:
        self.reloads = 0
        self.finish = asyncio.Event()
        self._fails = fails

    async def reload(self) -> None:
        self.reloads += 1
        await self.finish.wait()
        if self._fails:
            raise ReloadFailed("the bundle is damaged")


@pytest.mark.parametrize("fails", [False, True])
def test_signals_during_a_reload_cause_one_more(fails: bool) -> None:
    async def reload_with_signals() -> None:
        registry = SlowRegistry(fails)
        server = Server(None, Settings(), cast(ModelRegistry, registry))
        for _ in range(5):
            server._request_reload()
            await asyncio.sleep(0)
        assert registry.reloads == 1
        registry.finish.set()
        await asyncio.wait_for(cast("asyncio.Task[None]", server._reload_task), 60)
        assert registry.reloads == 2
        server._request_reload()
        await asyncio.wait_for(cast("asyncio.Task[None]", server._reload_task), 60)
        assert registry.reloads == 3

    asyncio.run(reload_with_signals())
