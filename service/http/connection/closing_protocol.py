"""ClosingProtocol: uvicorn's HTTP protocol with a clean end of each connection.

The last response reaches a client that is still sending. A client that disconnects cancels all
requests of its connection, of which uvicorn cancels only the newest.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.http.connection.lingering import LingeringTransport
from service.http.errors import envelope
from service.http.request_context import refusal_headers

# At shutdown, the time for the last response to reach a client that is still sending.
LAST_LINGER_SECONDS = 1.0


class ClosingProtocol(HttpToolsProtocol):
    """A connection that lingers when it closes, and cancels its requests when the client leaves."""

    _active: RequestResponseCycle | None = None  # the request that is being answered
    _shutting_down = False  # then each connection is closed after its response

    def connection_made(self, transport: Any) -> None:
        lingering: Any = LingeringTransport(transport, self.loop)
        super().connection_made(lingering)

    def eof_received(self) -> None:
        """Cancel all requests. The transport closes itself after this, once all is sent."""
        self._cancel_requests()

    def on_response_complete(self) -> None:
        self._active = None
        super().on_response_complete()
        if self.transport.is_closing():
            self._clear_queue()
            if self._shutting_down:
                self.lingering.limit_linger(LAST_LINGER_SECONDS)

    def timeout_keep_alive_handler(self) -> None:
        self.lingering.close_without_lingering()

    def shutdown(self) -> None:
        self._shutting_down = True
        if self._active is None or self.transport.is_closing():
            self.lingering.close_without_lingering()
            self.lingering.limit_linger(LAST_LINGER_SECONDS)
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lingering.cancel_timer()
        self._cancel_requests()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Send an error envelope and close. No application sees the request."""
        response = envelope(400, "invalid_request", msg)
        lines = [b"%s: %s" % header for header in (*response.raw_headers, *refusal_headers())]
        head = [b"HTTP/1.1 400 Bad Request", *lines, b"connection: close", b"", response.body]
        self.transport.write(b"\r\n".join(head))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, app)

    @property
    def lingering(self) -> LingeringTransport:
        transport: Any = self.transport
        assert isinstance(transport, LingeringTransport)
        return transport

    def _clear_queue(self) -> None:
        self.pipeline.clear()

    def _cancel_requests(self) -> None:
        self._clear_queue()
        if self._active is not None:
            self._disconnect(self._active)

    def _disconnect(self, cycle: RequestResponseCycle) -> None:
        """Let the application receive `http.disconnect`."""
        cycle.disconnected = True
        cycle.message_event.set()
