"""Addresses of every family are bound, and shown as URLs."""

import errno
import os
import re
import socket
from contextlib import closing

import httpx
import pytest

from service.errors import StartError
from service.runtime.address import bracketed, listen, local_url, url
from service.settings import STARTER_BUNDLE
from tests.support.server_process import failure, start, stop

SHOWN = re.compile(r"listens on (http://\S+) .*?curl -s (\S+)", re.DOTALL)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")

HOSTS = [
    ("127.0.0.1", "http://127.0.0.1", "http://127.0.0.1"),
    ("localhost", "http://127.0.0.1", "http://127.0.0.1"),
    ("0.0.0.0", "http://0.0.0.0", "http://127.0.0.1"),
    ("", "http://0.0.0.0", "http://127.0.0.1"),
    pytest.param("::1", "http://[::1]", "http://[::1]", marks=needs_ipv6),
    pytest.param("[::1]", "http://[::1]", "http://[::1]", marks=needs_ipv6),
    pytest.param("::", "http://[::]", "http://[::1]", marks=needs_ipv6),
    pytest.param("0:0:0:0:0:0:0:1", "http://[::1]", "http://[::1]", marks=needs_ipv6),
]


@pytest.mark.parametrize(("host", "shown", "asked"), HOSTS)
def test_an_address_is_shown_as_a_url(host: str, shown: str, asked: str) -> None:
    with closing(listen(host, 0)) as listener:
        port = listener.getsockname()[1]
        assert url(listener) == f"{shown}:{port}"
        assert local_url(listener) == f"{asked}:{port}"
        listener.listen()
        target = httpx.URL(local_url(listener))
        socket.create_connection((target.host, port), timeout=60).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", pytest.param("::1", marks=needs_ipv6)])
def test_the_address_that_a_start_shows_answers(host: str) -> None:
    arguments = ("--bundle", str(STARTER_BUNDLE), "--host", host, "--port", "0")
    with start(*arguments, "--log-level", "error", "--drain-seconds", "0") as process:
        assert process.stdout is not None
        told = ""
        while "curl" not in told and (line := process.stdout.readline()):
            told += line
        found = SHOWN.search(told)
        assert found is not None, told
        for address in (found[1], found[2].strip("'").removesuffix("/next-token")):
            answer = httpx.get(f"{address}/health/live", timeout=60, trust_env=False)
            assert answer.status_code == 200
        stop(process)


def test_a_zone_is_escaped() -> None:
    assert bracketed("fe80::1%eth0") == "[fe80::1%25eth0]"


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("no.such.host.invalid", "no.such.host.invalid:8000"),
        ("2001:db8::1", "[2001:db8::1]:8000"),
        ("1:2:3", "[1:2:3]:8000"),
        ("a" * 100, "a:8000"),
        ("192.0.2.1", "192.0.2.1:8000"),
    ],
)
def test_an_address_of_another_machine_is_named(host: str, shown: str) -> None:
    with pytest.raises(StartError, match="cannot listen on") as found:
        listen(host, 8000)
    assert shown in found.value.message
    assert "None" not in found.value.message


def test_a_taken_port_is_named() -> None:
    with closing(listen("127.0.0.1", 0)) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        said = failure("--bundle", str(STARTER_BUNDLE), "--port", str(port))
    assert f"127.0.0.1:{port}" in said


def test_a_missing_address_family_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_socket(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 8000, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket, "socket", no_socket)
    with pytest.raises(StartError, match=r"cannot listen on \[::1\]:8000: Address family not"):
        listen("::1", 8000)
