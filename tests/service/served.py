"""A language model behind a real server on 127.0.0.1."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from service.http.app import create_app
from service.language_model import LanguageModel


@contextmanager
def served(model: LanguageModel) -> Iterator[tuple[str, int]]:
    """Host and port, on which it is served meanwhile; the model is closed at the end."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(model), log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    name: tuple[str, int] = listener.getsockname()
    thread.start()
    while thread.is_alive() and not server.started:
        time.sleep(0.01)
    yield name
    server.should_exit = True
    thread.join()
