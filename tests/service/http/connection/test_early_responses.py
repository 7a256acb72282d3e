"""A response before the end of its request's body reaches the client that is still sending."""

import http.client
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import requests

from service.errors import (
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    ServiceError,
    UnsupportedMediaType,
)
from service.language_model import LanguageModel
from tests.support.api_client import strict_json
from tests.support.http_server import Address, serve_with

SECONDS = 60.0
MB = 1 << 20
PIECE = b" " * (1 << 16)
HEADERS = {"Content-Type": "application/json"}

Answer = tuple[int, str]
Client = Callable[[Address, str, int, bool, Path], Answer]


def pieces(size: int) -> Iterator[bytes]:
    for at in range(0, size, len(PIECE)):
        yield PIECE[: size - at]


def by_http_client(address: Address, path: str, size: int, chunked: bool, _: Path) -> Answer:
    body = pieces(size) if chunked else b" " * size
    with closing(http.client.HTTPConnection(*address, timeout=SECONDS)) as connection:
        headers = HEADERS | ({"Transfer-Encoding": "chunked"} if chunked else {})
        connection.request("POST", path, body, headers, encode_chunked=chunked)
        response = connection.getresponse()
        return response.status, code_of(response.read())


def by_requests(address: Address, path: str, size: int, chunked: bool, _: Path) -> Answer:
    body = pieces(size) if chunked else b" " * size
    with requests.Session() as session:
        session.trust_env = False
        url = f"http://{address[0]}:{address[1]}{path}"
        response = session.post(url, data=body, headers=HEADERS, timeout=SECONDS)
    return response.status_code, code_of(response.content)


def by_httpx(address: Address, path: str, size: int, chunked: bool, _: Path) -> Answer:
    body = pieces(size) if chunked else b" " * size
    url = f"http://{address[0]}:{address[1]}{path}"
    with httpx.Client(timeout=SECONDS, trust_env=False) as client:
        response = client.post(url, content=body, headers=HEADERS)
    return response.status_code, code_of(response.content)


def by_curl(
    address: Address, path: str, size: int, chunked: bool, folder: Path, expect: str = "Expect:"
) -> Answer:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    body = folder / "body"
    with body.open("wb") as file:
        file.truncate(size)
    headers = [f"{name}: {value}" for name, value in HEADERS.items()]
    headers += [expect, *(["Transfer-Encoding: chunked"] if chunked else [])]
    flags = [flag for header in headers for flag in ("-H", header)]
    url = f"http://{address[0]}:{address[1]}{path}"
    command = ["curl", "-sS", "--noproxy", "*", "-m", str(SECONDS), "-w", "\n%{http_code}"]
    command += [*flags, "--data-binary", f"@{body}", url]
    done = subprocess.run(command, capture_output=True, check=False)
    content, _, status = done.stdout.rpartition(b"\n")
    assert int(status), done.stderr
    return int(status), code_of(content)


def by_curl_that_expects(
    address: Address, path: str, size: int, chunked: bool, folder: Path
) -> Answer:
    return by_curl(address, path, size, chunked, folder, "Expect: 100-continue")


CLIENTS: list[Client] = [by_http_client, by_requests, by_httpx, by_curl, by_curl_that_expects]
every_client = pytest.mark.parametrize("client", CLIENTS)


def code_of(content: bytes) -> str:
    return str(strict_json(content)["error"]["code"])


@pytest.fixture(scope="module")
def address(model: LanguageModel) -> Iterator[Address]:
    with serve_with(model) as made:
        yield made


@every_client
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [9 * MB, 16 * MB, 64 * MB])
def test_413_reaches_a_sending_client(
    address: Address, client: Client, size: int, chunked: bool, tmp_path: Path
) -> None:
    assert client(address, "/score", size, chunked, tmp_path) == (413, "body_too_large")


ERRORS: list[tuple[ServiceError, int, str]] = [
    (ModelNotFound("no"), 404, "model_not_found"),
    (UnsupportedMediaType("no"), 415, "unsupported_media_type"),
    (InvalidRequest("no"), 422, "invalid_request"),
    (Overloaded("no", 1), 429, "overloaded"),
]


@every_client
@pytest.mark.parametrize(("error", "status", "code"), ERRORS)
@pytest.mark.parametrize(("size", "chunked"), [(MB // 2, False), (16 * MB, False), (16 * MB, True)])
def test_an_error_reaches_a_sending_client(
    address: Address,
    client: Client,
    error: ServiceError,
    status: int,
    code: str,
    size: int,
    chunked: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For each error that is sent before the body is read."""

    async def refuse(*_: object) -> bytes:
        raise error

    monkeypatch.setattr("service.http.middleware.read_body", refuse)
    assert client(address, "/score", size, chunked, tmp_path) == (status, code)
