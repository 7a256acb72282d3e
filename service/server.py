"""uvicorn's server, with what operation needs: it says when it listens, drains on SIGTERM, reloads
on SIGHUP, and waits for no client for ever.
"""

import asyncio
import fcntl
import logging
import signal
import socket
import sys
import termios
import time
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.errors import ReloadFailed, StartError
from service.http.boundary import SCHEDULED
from service.http.errors import envelope
from service.http.exchange import refusal_headers
from service.http.serving import Serving
from service.settings import Settings

# Far more than any client sends; a body has `max_body_bytes`.
MAX_HEAD_BYTES = 64 << 10

log = logging.getLogger(__name__)


class PatientProtocol(HttpToolsProtocol):
    """Ends the connections of clients that take too long to send a head, from the connection's
    beginning or the last answer's end on, or that take nothing of an answer for so long. Bodies
    have their own clock in `service.http.body`.
    """

    client_seconds = 20.0
    _in_head = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._give_up()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop(self._head_timer)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        others_wait = bool(self.pipeline)
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_writes()
        elif not others_wait:
            self._expect_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writes()

    def resume_writing(self) -> None:
        self._stop(self._write_timer)
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_writes()

    def shutdown(self) -> None:
        super().shutdown()
        self._watch_writes()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._head_timer)
        self._stop(self._write_timer)
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.scope[SCHEDULED] = time.perf_counter()  # type: ignore[literal-required]  # ours
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """To what is no HTTP, in the one envelope; no application ever sees it."""
        answer = envelope(400, "invalid_request", "this is no HTTP/1.1 request")
        lines = [b"%s: %s" % header for header in (*answer.raw_headers, *refusal_headers())]
        head = [b"HTTP/1.1 400 Bad Request", *lines, b"connection: close", b"", answer.body]
        self.transport.write(b"\r\n".join(head))
        self.transport.close()

    def _expect_head(self) -> None:
        self._stop(self._head_timer)
        self._head_timer = self.loop.call_later(self.client_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        if self.transport.get_write_buffer_size():  # it has the last answer to take first
            self._expect_head()
        else:
            self._give_up()

    def _watch_writes(self, before: int | None = None) -> None:
        """Look again later whether the client took any of the answer that waits for it."""
        self._stop(self._write_timer)
        waiting = self.transport.get_write_buffer_size()
        if not waiting:  # the rest is the kernel's
            return
        left = waiting + _in_the_kernel(self.transport)
        if before is not None and left >= before:
            self._give_up()
        else:
            self._write_timer = self.loop.call_later(self.client_seconds, self._watch_writes, left)

    def _give_up(self) -> None:
        self.transport.abort()

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()


def _in_the_kernel(transport: asyncio.Transport) -> int:
    """Bytes sent that the other side has not confirmed: some megabytes may pass there unseen."""
    answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


def patient_protocol(client_seconds: float) -> type[PatientProtocol]:
    return type("Protocol", (PatientProtocol,), {"client_seconds": client_seconds})


class Server(uvicorn.Server):
    """`failed` if it could not listen."""

    failed = False

    def __init__(self, app: Any, settings: Settings, serving: Serving) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=patient_protocol(settings.client_timeout),
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
            )
        )
        self._settings = settings
        self._serving = serving
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
        host, port = sockets[0].getsockname()[:2]
        print(
            f"\ntiedlm listens on http://{host}:{port} (documentation at /docs). Try:\n\n"
            f"  curl -s http://{host}:{port}/next-token -H 'Content-Type: application/json' \\\n"
            """    -d '{"context": "The capital of", "exclude_special": true}'\n""",
            flush=True,
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM drains first; a second signal, and SIGINT, end at once what does not run."""
        serving = self._serving
        if sig == signal.SIGTERM and not serving.draining and hasattr(self, "_loop"):
            serving.draining = True
            log.info("draining for %g seconds", self._settings.drain_seconds)
            self._loop.call_soon_threadsafe(
                self._loop.call_later, self._settings.drain_seconds, self._end
            )
            return
        serving.draining = True
        super().handle_exit(sig, frame)

    def _end(self) -> None:
        self.should_exit = True

    def _start_reload(self) -> None:
        async def reload() -> None:
            with suppress(ReloadFailed):  # the log has it
                await self._serving.reload()

        task = asyncio.create_task(reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)


def listen(host: str, port: int) -> socket.socket:
    """Bound but not listening yet. Raises StartError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener
