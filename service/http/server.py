"""Server: uvicorn's server, which prints its address, drains on SIGTERM and reloads on SIGHUP."""

import asyncio
import logging
import math
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn

from service.errors import ReloadFailed
from service.http.connection.timeout_protocol import timeout_protocol
from service.http.model_registry import ModelRegistry
from service.runtime.address import local_url, url
from service.settings import Settings

# Connections that wait in the kernel for `accept`. Linux allows 4,096 by default.
BACKLOG = 4096

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """A server of one application. `failed` is True if it could not listen."""

    failed = False

    def __init__(self, app: Any, settings: Settings, models: ModelRegistry) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=timeout_protocol(settings.client_timeout, settings.max_body_bytes),
                ws="none",
                backlog=BACKLOG,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=math.ceil(settings.request_timeout),
            )
        )
        self._settings = settings
        self._models = models
        self._reload_requested = False
        self._reload_task: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except OSError as error:  # another process listened first
            print(f"error: cannot listen: {error.strerror}", file=sys.stderr)
            self.failed = self.should_exit = True
        if self.should_exit or not sockets:
            return
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGHUP, self._request_reload)
        example = f"{local_url(sockets[0])}/next-token"
        example = f"'{example}'" if "[" in example else example  # zsh would expand the brackets
        print(
            f"\ntiedlm listens on {url(sockets[0])} (documentation at /docs). Try:\n\n"
            f"  curl -s {example} -H 'Content-Type: application/json' \\\n"
            """    -d '{"context": "The capital of", "exclude_special": true}'\n""",
            flush=True,
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._models.end()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first SIGTERM. End on SIGINT or a second signal."""
        models = self._models
        if sig == signal.SIGTERM and not models.draining and hasattr(self, "_loop"):
            models.draining = True
            log.info("draining for %g seconds", self._settings.drain_seconds)
            self._loop.call_soon_threadsafe(
                self._loop.call_later, self._settings.drain_seconds, self._stop
            )
            return
        models.draining = True
        super().handle_exit(sig, frame)

    def _stop(self) -> None:
        self.should_exit = True

    def _request_reload(self) -> None:
        """Reload now, or once more after the reload that is running: signals do not queue up."""
        self._reload_requested = True
        if self._reload_task is None or self._reload_task.done():
            self._reload_task = asyncio.create_task(self._reload())

    async def _reload(self) -> None:
        while self._reload_requested:
            self._reload_requested = False
            with suppress(ReloadFailed):  # it is logged
                await self._models.reload()
