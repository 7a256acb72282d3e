"""The application behind a socket in this process, with settings of the caller's choice."""

import copy
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import httpx
import uvicorn

from service.http.app import create_app
from service.http.connection.timeout_protocol import timeout_protocol
from service.language_model import LanguageModel

Address = tuple[str, int]


@contextmanager
def serve(model: LanguageModel, lifespan: Literal["on", "off"] = "off") -> Iterator[Address]:
    """Serve a model with the protocol of the real server.

    With lifespan `on`, the model is closed at the end.
    """
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    settings = model.settings
    protocol = timeout_protocol(settings.client_timeout, settings.max_body_bytes)
    config = uvicorn.Config(
        create_app(model),
        http=protocol,
        ws="none",
        lifespan=lifespan,
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    address: Address = listener.getsockname()
    thread.start()
    while thread.is_alive() and not server.started:
        time.sleep(0.01)
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def serve_with(model: LanguageModel, **settings: Any) -> Iterator[Address]:
    """Serve the model, with its workers, under other HTTP settings."""
    other = copy.copy(model)
    other.settings = model.settings.model_copy(update=settings)
    with serve(other) as address:
        yield address


@contextmanager
def http_client_for(model: LanguageModel, **settings: Any) -> Iterator[httpx.Client]:
    with (
        serve_with(model, **settings) as (host, port),
        httpx.Client(base_url=f"http://{host}:{port}", timeout=60, trust_env=False) as client,
    ):
        yield client
