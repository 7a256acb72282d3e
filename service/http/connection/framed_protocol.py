"""FramedProtocol: uvicorn's HTTP protocol with strict framing and bounded read-ahead.

Replaces how uvicorn reads: uvicorn feeds a whole connection to llhttp, which takes trailers for
headers and stops at an upgrade. How uvicorn starts and answers requests stays.
"""

from collections import deque
from typing import Any

from service.http.connection.flow_control import PipelineFlowControl
from service.http.connection.framing import FramingError, HeadReader
from service.http.connection.head_protocol import MAX_HEAD_BYTES, HeadProtocol
from service.http.connection.message_body import BodyReader, SizedBody

# Requests queued on a connection. Their bytes are bounded too.
MAX_PIPELINED = 256
# If a response starts before the end of its request's body, up to this much of the rest is
# discarded and the connection stays open; with more to come, the connection closes.
DISCARDED_BODY_BYTES = 1 << 20


class FramedProtocol(HeadProtocol):
    """Keeps reading while a request is answered, because only reading shows that the client has
    left, which cancels its requests.

    Up to MAX_PIPELINED requests are queued as requests and more as bytes, together up to twice the
    largest body. Above that, reading pauses until queued requests are answered. Trailers are
    discarded (RFC 9110, 6.5.1).
    """

    max_body_bytes = 8 << 20
    _body: BodyReader | None = None  # of the newest request, until its end was received
    _keep_alive = True  # as the newest request wants
    _discarding = False  # all further bytes
    _queued_bytes = 0  # received since the queue was last empty
    _stalled_bytes = 0  # received since the newest request last made progress

    def connection_made(self, transport: Any) -> None:
        self._unparsed: deque[bytes] = deque()
        super().connection_made(transport)
        self.flow = self._pipeline_flow = PipelineFlowControl(
            self.lingering, self.loop, lambda: self._newest_is_queued, self._discard_rest
        )
        self._head = HeadReader()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._queued_bytes += len(data)
        if self._is_reading:
            self._unparsed.append(data)
            self._parse_requests()
        if not self._is_reading:
            self.lingering.discard(len(data))
        elif self._stalled_bytes > MAX_HEAD_BYTES:
            self.lingering.abort()
        elif not self.pipeline:
            self._queued_bytes = 0
        elif self._queued_bytes > 2 * self.max_body_bytes:
            self._pipeline_flow.hold()

    def on_body(self, body: bytes) -> None:
        if self._newest_is_queued and len(self.cycle.body) > self.max_body_bytes:
            self._queued_bytes -= len(body)  # the application will reject the part that is kept
            self.lingering.discard(len(body))
        else:
            super().on_body(body)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._pipeline_flow.extend_hold()
        if self._unparsed and len(self.pipeline) <= MAX_PIPELINED // 2:
            self._parse_requests()
        if not self.pipeline:
            self._queued_bytes = 0
            self._pipeline_flow.release()

    def shutdown(self) -> None:
        self._keep_alive = False
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pipeline_flow.cancel_timer()
        super().connection_lost(exc)

    @property
    def _is_reading(self) -> bool:
        return not self._discarding and not self.transport.is_closing()

    @property
    def _newest_is_queued(self) -> bool:
        """Return whether earlier requests of the connection are still to be answered."""
        return self._active is not None and self.cycle is not self._active

    def _parse_requests(self) -> None:
        """Parse received bytes until the queue is full."""
        while self._unparsed and self._is_reading:
            if self._body is None and len(self.pipeline) >= MAX_PIPELINED:
                return
            data = self._unparsed.popleft()
            self._stalled_bytes += len(data)
            try:
                rest = self._parse_request(data)
            except FramingError as error:
                self._unparsed.clear()
                self._reject(str(error))
                return
            if rest:
                self._stalled_bytes = 0
                self._unparsed.appendleft(rest)

    def _parse_request(self, data: bytes) -> bytes:
        """Parse to the end of a request's head and body, and return the bytes after it.

        Raise FramingError.
        """
        if self._body is None:
            found = self._head.feed(data)
            if found is None:
                return b""
            head, data = found
            self._body = self._start_request(head)
            self._keep_alive = self.cycle.keep_alive
        content, rest = self._body.feed(data)
        if rest is not None:
            self._body = None
        self._update_keep_alive()
        if content or rest is not None:
            self._stalled_bytes = 0
        if content:
            self.on_body(content)
        if rest is None:
            return b""
        self.on_message_complete()
        if not self.cycle.keep_alive:
            self._discard_rest()
        return rest

    def _reject(self, message: str) -> None:
        """Answer 400 unless an earlier request is pending: then close after its response."""
        if self._body is not None and self.cycle is self._active:
            if not self.cycle.response_started:  # its own body is invalid
                self._disconnect(self.cycle)
                self.send_400_response(message)
                return
        elif self._body is None and self._active is None:
            self.send_400_response(message)
            return
        self._discard_rest()

    def _discard_rest(self) -> None:
        """Parse no further request, and close after the responses that are pending."""
        self._discarding = True
        self._unparsed.clear()
        if self._body is not None and self.pipeline:  # the newest request stays incomplete
            self.pipeline.popleft()
        last = self.pipeline[0][0] if self.pipeline else self._active
        if last is None:
            self.transport.close()
        else:
            last.keep_alive = False

    def _clear_queue(self) -> None:
        super()._clear_queue()
        self._unparsed.clear()

    def _update_keep_alive(self) -> None:
        """Close after a response that starts now, if much of its request's body is to come."""
        cycle, body = self.cycle, self._body
        if cycle.response_started:
            return
        cycle.keep_alive = self._keep_alive and (
            body is None
            or (
                isinstance(body, SizedBody)
                and body.left <= DISCARDED_BODY_BYTES
                and not cycle.waiting_for_100_continue
            )  # with Expect, the client may leave out its body
        )
