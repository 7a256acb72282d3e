"""uvicorn's server, with what operation needs: it says when it listens, drains on SIGTERM, and
reloads on SIGHUP.
"""

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
from service.http.connection.timeouts import timeout_protocol
from service.http.model_registry import ModelRegistry
from service.runtime.address import url, url_to_ask
from service.settings import Settings

# Connections that wait in the kernel to be accepted; Linux allows 4,096 by default.
BACKLOG = 4096

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """`failed` if it could not listen."""

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
        self._reloads: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except OSError as error:  # another process listened first
            print(f"error: cannot listen: {error.strerror}", file=sys.stderr)
            self.failed = self.should_exit = True
        if self.should_exit or not sockets:
            return
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGHUP, self._start_reload)
        example = f"{url_to_ask(sockets[0])}/next-token"
        example = f"'{example}'" if "[" in example else example  # zsh would look for files
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
        """SIGTERM drains first; a second signal, and SIGINT, end at once what does not run."""
        models = self._models
        if sig == signal.SIGTERM and not models.draining and hasattr(self, "_loop"):
            models.draining = True
            log.info("draining for %g seconds", self._settings.drain_seconds)
            self._loop.call_soon_threadsafe(
                self._loop.call_later, self._settings.drain_seconds, self._end
            )
            return
        models.draining = True
        super().handle_exit(sig, frame)

    def _end(self) -> None:
        self.should_exit = True

    def _start_reload(self) -> None:
        async def reload() -> None:
            with suppress(ReloadFailed):  # the log has it
                await self._models.reload()

        task = asyncio.create_task(reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)
