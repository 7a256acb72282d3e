"""uvicorn's HTTP protocol with strict framing and bounded read-ahead.

It replaces how uvicorn reads: llhttp, which uvicorn feeds a whole connection, takes trailers for
headers and stops at an upgrade. What uvicorn starts, and how it answers, stays.
"""

from collections import deque
from types import SimpleNamespace
from typing import Any

import httptools

from service.http.connection.closing_protocol import ClosingProtocol
from service.http.connection.framing import Body, FramingError, HeadReader, SizedBody, body_of
from service.http.connection.read_ahead import ReadAhead

# Far more than any client sends, of a head or of trailers; a body has `max_body_bytes`.
MAX_HEAD_BYTES = 64 << 10
# Requests that may wait on a connection for those before them; their bytes are bounded too.
MAX_PIPELINED = 256
# After an answer that is given before the end of its request's body, up to this much of the body is
# dropped and the connection stays; with more to come, the connection closes.
DROPPED_BODY_BYTES = 1 << 20


class FramedProtocol(ClosingProtocol):
    """Reads on while a request is answered, because only a reader sees the end of a connection, and
    a client that leaves ends all its work. Up to MAX_PIPELINED requests wait as such and more as
    bytes, together up to twice the largest body; beyond it nothing is read until they are done.

    Trailers are dropped, and no upgrade to another protocol is taken: the request is answered as it
    is (RFC 9110, sections 6.5.1 and 7.8).
    """

    max_body_bytes = 8 << 20
    _body: Body | None = None  # the rest of the newest request, which is not whole yet
    _keep_alive = True  # what the newest request asks for
    _drops = False  # all that comes
    _waiting_bytes = 0  # received since requests last began to wait
    _idle_bytes = 0  # received since the newest request last made progress

    def connection_made(self, transport: Any) -> None:
        self._unread: deque[bytes] = deque()
        super().connection_made(transport)
        self.flow = self._ahead = ReadAhead(
            self.closing, self.loop, lambda: self._newest_waits, self._drop_the_rest
        )
        self._head = HeadReader()
        self._head_events = SimpleNamespace(
            on_message_begin=self.on_message_begin,
            on_url=self.on_url,
            on_header=self.on_header,
            on_headers_complete=self.on_headers_complete,
        )

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._waiting_bytes += len(data)
        if self._reads:
            self._unread.append(data)
            self._read_on()
        if not self._reads:
            self.closing.drop(len(data))
        elif self._idle_bytes > MAX_HEAD_BYTES:
            self.closing.abort()
        elif not self.pipeline:
            self._waiting_bytes = 0
        elif self._waiting_bytes > 2 * self.max_body_bytes:
            self._ahead.hold()

    def on_body(self, body: bytes) -> None:
        if self._newest_waits and len(self.cycle.body) > self.max_body_bytes:
            self._waiting_bytes -= len(body)  # the application will refuse what it has
            self.closing.drop(len(body))
        else:
            super().on_body(body)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._ahead.answered()
        if self._unread and len(self.pipeline) <= MAX_PIPELINED // 2:
            self._read_on()
        if not self.pipeline:
            self._waiting_bytes = 0
            self._ahead.release()

    def shutdown(self) -> None:
        self._keep_alive = False
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ahead.lost()
        super().connection_lost(exc)

    @property
    def _reads(self) -> bool:
        return not self._drops and not self.transport.is_closing()

    @property
    def _newest_waits(self) -> bool:
        """Whether requests before the newest are still to be answered."""
        return self._active is not None and self.cycle is not self._active

    def _read_on(self) -> None:
        """Read what came, up to the end of the requests that may wait."""
        while self._unread and self._reads:
            if self._body is None and len(self.pipeline) >= MAX_PIPELINED:
                return
            data = self._unread.popleft()
            self._idle_bytes += len(data)
            try:
                rest = self._read(data)
            except FramingError as error:
                self._unread.clear()
                self._refuse(str(error))
                return
            if rest:
                self._idle_bytes = 0
                self._unread.appendleft(rest)

    def _read(self, data: bytes) -> bytes:
        """Read to the end of a request's head and body, and return what follows them.

        Raises FramingError.
        """
        if self._body is None:
            found = self._head.feed(data)
            if found is None:
                return b""
            head, data = found
            self._body = self._begin(head)
            self._keep_alive = self.cycle.keep_alive
        content, rest = self._body.feed(data)
        if rest is not None:
            self._body = None
        self._decide_keep_alive()
        if content or rest is not None:
            self._idle_bytes = 0
        if content:
            self.on_body(content)
        if rest is None:
            return b""
        self.on_message_complete()
        if not self.cycle.keep_alive:
            self._drop_the_rest()
        return rest

    def _begin(self, head: bytes) -> Body:
        """Start or queue the request of a head, and return its body. Raises FramingError."""
        if len(head) > MAX_HEAD_BYTES:
            raise FramingError(f"the head has {len(head)} bytes; at most {MAX_HEAD_BYTES} may come")
        if head.startswith(b"CONNECT "):
            raise FramingError("CONNECT is not supported, because this server is not a proxy")
        body = body_of(head)
        self.parser = httptools.HttpRequestParser(self._head_events)
        try:
            self.parser.feed_data(head)
        except httptools.HttpParserUpgrade:  # after the head was read
            pass
        except httptools.HttpParserError:
            raise FramingError("the request line or a header is not valid HTTP/1.1") from None
        if self.scope["http_version"] == "1.0":  # RFC 9110, 10.1.1: Expect is ignored there
            self.cycle.waiting_for_100_continue = False
        return body

    def _refuse(self, message: str) -> None:
        """What was asked before on the connection is answered first, and then there is no answer to
        what cannot be read.
        """
        if self._body is not None and self.cycle is self._active:
            if not self.cycle.response_started:  # the body that broke is its own
                self._leave(self.cycle)
                self.send_400_response(message)
                return
        elif self._body is None and self._active is None:
            self.send_400_response(message)
            return
        self._drop_the_rest()

    def _drop_the_rest(self) -> None:
        """Close after the answers that are owed, and read no request from here on."""
        self._drops = True
        self._unread.clear()
        if self._body is not None and self.pipeline:  # the newest will never be whole
            self.pipeline.popleft()
        last = self.pipeline[0][0] if self.pipeline else self._active
        if last is None:
            self.transport.close()
        else:
            last.keep_alive = False

    def _forget_waiting(self) -> None:
        super()._forget_waiting()
        self._unread.clear()

    def _decide_keep_alive(self) -> None:
        """Close after an answer that starts now, if much of its request's body is still to come."""
        cycle, body = self.cycle, self._body
        if cycle.response_started:
            return
        cycle.keep_alive = self._keep_alive and (
            body is None
            or (
                isinstance(body, SizedBody)
                and body.left <= DROPPED_BODY_BYTES
                and not cycle.waiting_for_100_continue
            )  # whether its body comes is the client's choice
        )
