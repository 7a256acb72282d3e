"""HeadProtocol: uvicorn's HTTP protocol, which starts requests from heads that are complete."""

import re
from types import SimpleNamespace
from typing import Any

import httptools

from service.http.connection.closing_protocol import ClosingProtocol
from service.http.connection.framing import FramingError, with_path
from service.http.connection.message_body import BodyReader, body_reader

# Of a head or of trailers; far more than any client sends. A body has `max_body_bytes`.
MAX_HEAD_BYTES = 64 << 10
# RFC 9112, 3.2.4: the asterisk form of a request target is for OPTIONS alone.
WRONG_ASTERISK = re.compile(rb"(?!OPTIONS )[^ ]++ \* ")


class HeadProtocol(ClosingProtocol):
    """Feeds each head to a new llhttp parser, which calls uvicorn's callbacks for it.

    An upgrade to another protocol is ignored: the request is answered as it is (RFC 9110, 7.8).
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._head_events = SimpleNamespace(
            on_message_begin=self.on_message_begin,
            on_url=self.on_url,
            on_header=self.on_header,
            on_headers_complete=self.on_headers_complete,
        )

    def on_headers_complete(self) -> None:
        """Accept an absolute URI without a path (RFC 9112, 3.2.2), which uvicorn rejects."""
        if self.url[:1] != b"/":
            self.url = with_path(self.url)
        super().on_headers_complete()

    def _start_request(self, head: bytes) -> BodyReader:
        """Start or queue the request of a head; return its body's reader. Raise FramingError."""
        if len(head) > MAX_HEAD_BYTES:
            raise FramingError(f"the head has {len(head)} bytes (at most {MAX_HEAD_BYTES})")
        if head.startswith(b"CONNECT "):
            raise FramingError("CONNECT is not supported, because this server is not a proxy")
        if WRONG_ASTERISK.match(head):
            raise FramingError("the target * is only valid with OPTIONS; send a path")
        body = body_reader(head)
        self.parser = httptools.HttpRequestParser(self._head_events)
        try:
            self.parser.feed_data(head)
        except httptools.HttpParserUpgrade:  # raised after the head was parsed
            pass
        except httptools.HttpParserError:
            raise FramingError("the request line or a header is not valid HTTP/1.1") from None
        if self.scope["http_version"] == "1.0":  # RFC 9110, 10.1.1: Expect is ignored there
            self.cycle.waiting_for_100_continue = False
        return body
