"""uvicorn's HTTP protocol with an end of the connection that both sides survive.

The last answer reaches a client that still sends, and a client that leaves ends all its work, of
which uvicorn only tells the newest request.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.http.connection.lingering import LingeringTransport
from service.http.errors import envelope
from service.http.request_context import refusal_headers

# At shutdown, for the last answer to reach a client that still sends.
LAST_LINGER_SECONDS = 1.0


class ClosingProtocol(HttpToolsProtocol):
    _active: RequestResponseCycle | None = None  # the request that is being answered
    _ends = False  # the service, which closes each connection after its answer

    def connection_made(self, transport: Any) -> None:
        closing: Any = LingeringTransport(transport, self.loop)
        super().connection_made(closing)

    def eof_received(self) -> None:
        """The transport closes itself after this, as soon as all is sent."""
        self._end_all_work()

    def on_response_complete(self) -> None:
        self._active = None
        super().on_response_complete()
        if self.transport.is_closing():
            self._forget_waiting()
            if self._ends:
                self.closing.hurry(LAST_LINGER_SECONDS)

    def timeout_keep_alive_handler(self) -> None:
        self.closing.close_at_once()

    def shutdown(self) -> None:
        self._ends = True
        if self._active is None or self.transport.is_closing():
            self.closing.close_at_once()
            self.closing.hurry(LAST_LINGER_SECONDS)
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing.lost()
        self._end_all_work()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """In the one envelope; no application ever sees the request."""
        answer = envelope(400, "invalid_request", msg)
        lines = [b"%s: %s" % header for header in (*answer.raw_headers, *refusal_headers())]
        head = [b"HTTP/1.1 400 Bad Request", *lines, b"connection: close", b"", answer.body]
        self.transport.write(b"\r\n".join(head))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, app)

    @property
    def closing(self) -> LingeringTransport:
        transport: Any = self.transport
        assert isinstance(transport, LingeringTransport)
        return transport

    def _forget_waiting(self) -> None:
        self.pipeline.clear()

    def _end_all_work(self) -> None:
        self._forget_waiting()
        if self._active is not None:
            self._leave(self._active)

    def _leave(self, cycle: RequestResponseCycle) -> None:
        """Let the application see that its client is gone."""
        cycle.disconnected = True
        cycle.message_event.set()
