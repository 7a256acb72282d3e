"""The private methods of uvicorn that the service overrides exist, and uvicorn calls them.

They may change with any minor version, so the pinned version and this test belong together.
"""

import asyncio
import inspect
import re
import socket
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.http.connection.closing_protocol import ClosingProtocol
from service.http.connection.flow_control import PipelineFlowControl
from service.http.connection.framed_protocol import FramedProtocol
from service.http.connection.head_protocol import HeadProtocol
from service.http.connection.timeout_protocol import TimeoutProtocol
from service.http.server import Server
from service.language_model import LanguageModel
from tests.support.http_server import Address, serve_with
from tests.support.raw_http import GET_LIVE

SECONDS = 60.0
KEEP_ALIVE_SECONDS = 0.1
PROTOCOLS = (ClosingProtocol, HeadProtocol, FramedProtocol, TimeoutProtocol)
# Hooks of the protocol; without them the service would silently lose what they do.
HOOKS = {
    "connection_made",
    "data_received",
    "eof_received",
    "connection_lost",
    "pause_writing",
    "resume_writing",
    "on_headers_complete",
    "on_body",
    "on_response_complete",
    "send_400_response",
    "timeout_keep_alive_handler",
    "shutdown",
    "_start_asgi_task",
}
FLOW_HOOKS = {"pause_reading", "resume_reading"}
SERVER_HOOKS = {"startup", "shutdown", "handle_exit"}
# Methods of uvicorn that the service calls.
METHODS = {"_unset_keepalive_if_required", "on_message_begin", "on_message_complete"}
PARSER_METHODS = {"on_url", "on_header"}
LARGE_FILE = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: tests\r\n\r\n"
FILES = 16  # 1.4 MB each, more than the kernel buffers
LARGE_BODY = 1 << 20


def overrides(base: type, *classes: type) -> set[str]:
    """Return the names of methods of the base class that the classes override."""
    own = {name for cls in classes for name, value in vars(cls).items() if callable(value)}
    return {name for name in own & set(dir(base)) if not name.startswith("__")}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls of each overridden hook."""
    counted: Counter[str] = Counter()

    def count(cls: type, name: str) -> None:
        hook: Callable[..., Any] = getattr(cls, name)

        def counting(self: Any, *args: Any) -> Any:
            counted[name] += 1
            result = hook(self, *args)
            if name == "connection_made":
                assert self.timeout_keep_alive > 0
                self.timeout_keep_alive = KEEP_ALIVE_SECONDS
            return result

        monkeypatch.setattr(cls, name, counting)

    for name in HOOKS:
        count(TimeoutProtocol, name)
    for name in FLOW_HOOKS:
        count(PipelineFlowControl, name)
    return counted


@pytest.fixture
def exchanges(model: LanguageModel, calls: Counter[str]) -> Iterator[Address]:
    with serve_with(model) as address:
        yield address


def exchange(address: Address, sent: bytes, *, end: bool = False) -> bytes:
    """Send bytes, end sending if asked, and return all that comes until the server closes."""
    with socket.create_connection(address, timeout=SECONDS) as connection:
        connection.sendall(sent)
        if end:
            connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 20), b""))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_overridden_hooks_exist_in_uvicorn() -> None:
    assert overrides(HttpToolsProtocol, *PROTOCOLS) == HOOKS
    assert overrides(FlowControl, PipelineFlowControl) == FLOW_HOOKS
    assert overrides(uvicorn.Server, Server) == SERVER_HOOKS


def test_no_protocol_hook_is_misspelled() -> None:
    """A public method that uvicorn does not have would never be called."""
    bases = set(dir(HttpToolsProtocol)) | set(dir(asyncio.Protocol))
    public = {
        name
        for protocol in PROTOCOLS
        for name, value in vars(protocol).items()
        if callable(value) and not name.startswith("_")
    }
    assert public - bases == set()


@pytest.mark.parametrize(
    ("base", "cls", "hooks"),
    [
        (HttpToolsProtocol, TimeoutProtocol, HOOKS),
        (FlowControl, PipelineFlowControl, FLOW_HOOKS),
        (uvicorn.Server, Server, SERVER_HOOKS),
    ],
)
def test_hooks_take_the_arguments_of_uvicorn(base: type, cls: type, hooks: set[str]) -> None:
    for name in hooks:
        own, theirs = (inspect.signature(getattr(one, name)) for one in (cls, base))
        assert list(own.parameters) == list(theirs.parameters), name


def test_attributes_that_the_service_uses_exist() -> None:
    config = uvicorn.Config(lambda *_: None, log_config=None)
    loop = asyncio.new_event_loop()
    protocol = HttpToolsProtocol(config, uvicorn.Server(config).server_state, {}, loop)
    loop.close()
    used = {
        "pipeline",
        "cycle",
        "transport",
        "flow",
        "parser",
        "loop",
        "scope",
        "timeout_keep_alive",
    }
    assert used <= set(vars(protocol))
    assert {*METHODS, *PARSER_METHODS} <= set(dir(HttpToolsProtocol))
    source = inspect.getsource(RequestResponseCycle)
    for name in ("keep_alive", "disconnected", "message_event", "body", "scope"):
        assert f"self.{name} = " in source
    for name in ("response_started", "response_complete", "waiting_for_100_continue"):
        assert f"self.{name} = " in source


def test_uvicorn_calls_every_overridden_hook(exchanges: Address, calls: Counter[str]) -> None:
    responses = exchange(exchanges, GET_LIVE * 3)
    assert responses.count(b"HTTP/1.1 200") == 3
    assert calls["_start_asgi_task"] == calls["on_headers_complete"] == 3
    assert calls["on_response_complete"] == 3
    assert calls["connection_made"] == calls["timeout_keep_alive_handler"] == 1
    head = b"POST /score HTTP/1.1\r\nHost: tests\r\nContent-Length: %d\r\n\r\n" % LARGE_BODY
    assert b" 415 " in exchange(exchanges, head + b" " * LARGE_BODY)
    assert b" 400 " in exchange(exchanges, b"garbage\r\n")
    assert not exchange(exchanges, b"", end=True)
    with socket.create_connection(exchanges, timeout=SECONDS) as slow:
        slow.sendall(LARGE_FILE * FILES)
        wait_until(lambda: calls["pause_writing"] > 0)
        assert read_all(slow).count(b"HTTP/1.1 200") == FILES
    wait_until(lambda: calls["connection_lost"] == calls["connection_made"])
    assert {*HOOKS, *FLOW_HOOKS} - {"shutdown"} - set(calls) == set()


def test_uvicorn_shuts_open_connections_down(model: LanguageModel, calls: Counter[str]) -> None:
    with serve_with(model) as address:
        connection = socket.create_connection(address, timeout=SECONDS)
        wait_until(lambda: calls["connection_made"] == 1)
    connection.close()
    assert calls["shutdown"] == 1


def test_the_pin_is_the_minor_version_in_use() -> None:
    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]
    needs = project["optional-dependencies"]["service"]
    (pin,) = [line for line in needs if line.startswith("uvicorn")]
    major, minor = version("uvicorn").split(".")[:2]
    assert re.fullmatch(rf"uvicorn>={major}\.{minor}\.\d+,<{major}\.{int(minor) + 1}", pin)
