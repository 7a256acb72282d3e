"""A small proxy that serves under a prefix and may strip it, as nginx does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.http_server import Address

SECONDS = 120.0
OWN = ("connection", "transfer-encoding", "keep-alive", "server", "date", "host")


@contextmanager
def proxied(address: Address, prefix: str, *, strips: bool = True) -> Iterator[str]:
    """Yield the URL of the service behind the proxy, without a slash at its end."""

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            if not self.path.startswith(prefix):
                self.send_error(404)  # a path of another service
                return
            path = self.path[len(prefix) :] if strips else self.path
            path = path if path.startswith("/") else f"/{path}"
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {k: v for k, v in self.headers.items() if k.lower() not in OWN}
            connection = HTTPConnection(*address, timeout=SECONDS)
            connection.request(self.command, path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in (*OWN, "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") or str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_POST = do_HEAD = forward  # noqa: N815  # names of http.server's

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Forward) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}{prefix}"
        server.shutdown()
        thread.join()
