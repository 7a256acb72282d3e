"""A server that sends given bytes as its HTTP response, valid or not."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def serve_bytes(make_chunks: Callable[[], Iterable[bytes]]) -> Iterator[str]:
    """Yield the URL of a server that sends the same chunks to each client, unless it leaves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.recv(65536)
                    for chunk in make_chunks():
                        connection.sendall(chunk)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def response_head(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]).encode()


def http_chunk(content: bytes) -> bytes:
    """Return `content` as one chunk of a chunked transfer encoding."""
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"
