"""API keys: their sources, their checks, and start errors for invalid keys."""

import hashlib
import hmac
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from starlette.datastructures import Headers

from service.client import Client, Unauthorized
from service.errors import Forbidden, StartError
from service.errors import Unauthorized as NoKey
from service.http import auth
from service.http.auth import Authenticator
from service.language_model import LanguageModel
from service.settings import Settings
from tests.support.api_client import error_json
from tests.support.http_server import Address, serve_with
from tests.support.server_process import failure

ONE, OTHER, ADMIN = "key-one-0123456789", "key-other-9876543210", "key-of-the-admin-00"
WRONG = "key-wrong-0123456789"


def keys_file(folder: Path, content: str | bytes, name: str = "keys") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def authenticator(
    path: Path | None = None, keys: str | None = None, admin_path: Path | None = None
) -> Authenticator:
    secret = None if keys is None else SecretStr(keys)
    return Authenticator(Settings(api_keys_file=path, api_keys=secret, admin_keys_file=admin_path))


def bearer(key: str) -> Headers:
    return Headers({"Authorization": f"Bearer {key}"})


def accepts(checked: Authenticator, key: str, path: str = "/score") -> bool:
    try:
        checked.check(path, bearer(key))
    except NoKey:
        return False
    return True


def test_all_keys_of_a_file_are_valid(tmp_path: Path) -> None:
    lines = f"\ufeff# keys of the two teams\r\n{ONE}\r\n\r\n  {OTHER}  \n  # {WRONG}\n"
    made = authenticator(keys_file(tmp_path, lines))
    assert accepts(made, ONE)
    assert accepts(made, OTHER)
    for key in ("", WRONG, f"# {WRONG}", ONE[:-1], ONE + "x", ONE.upper(), f"{ONE}\n{OTHER}"):
        assert not accepts(made, key)


def test_keys_of_the_environment_are_valid(tmp_path: Path) -> None:
    made = authenticator(keys_file(tmp_path, ONE), f" {OTHER} ,{WRONG},")
    assert accepts(made, ONE)
    assert accepts(made, OTHER)
    assert accepts(made, WRONG)
    assert not accepts(made, ADMIN)


def test_without_keys_every_request_is_accepted() -> None:
    made = authenticator()
    assert not made.requires_key
    made.check("/score", Headers())


@pytest.mark.parametrize("header", ["Basic {}", "{}", "Bearer", "Bearer  ", "Bearer{}", "Token {}"])
def test_a_key_without_its_scheme_is_invalid(header: str) -> None:
    with pytest.raises(NoKey):
        authenticator(keys=ONE).check("/score", Headers({"Authorization": header.format(ONE)}))


@pytest.mark.parametrize("header", [f"Bearer {ONE}", f"bearer {ONE}", f"BEARER  {ONE} "])
def test_the_scheme_ignores_case(header: str) -> None:
    authenticator(keys=ONE).check("/score", Headers({"Authorization": header}))


@pytest.mark.parametrize("key", ["é" * 20, "\xff" * 20, "x" * 60_000, "\x01\x02"])
def test_odd_keys_are_invalid(key: str) -> None:
    raw = Headers(raw=[(b"authorization", b"Bearer " + key.encode("latin-1"))])
    with pytest.raises(NoKey):
        authenticator(keys=ONE).check("/score", raw)


def test_every_key_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time must not depend on which key is nearly right, or on its position."""
    compared: list[int] = []
    compare = hmac.compare_digest

    def counted(left: bytes, right: bytes) -> bool:
        compared.append(len(left))
        return compare(left, right)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    made = authenticator(keys=f"{ONE},{OTHER},{ADMIN}")
    for key in (ONE, ADMIN, WRONG, "", "x" * 10_000):
        compared.clear()
        accepts(made, key)
        assert compared == [hashlib.sha256().digest_size] * 3


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n\n",
        "# nothing but words\n",
        "short-key\n",
        f"{ONE}\nshort\n",
        "schlüssel" * 3,
        b"\xff",
    ],
)
def test_an_invalid_file_is_a_start_error(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(StartError) as caught:
        authenticator(keys_file(tmp_path, content))
    assert "keys" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("keys", ["", ",", "short", f"{ONE},short"])
def test_invalid_variables_are_a_start_error(keys: str) -> None:
    with pytest.raises(StartError, match="TIEDLM_API_KEYS"):
        authenticator(keys=keys)


def test_a_missing_file_is_a_start_error(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(StartError, match=re.escape(str(path))):
            authenticator(path)
        with pytest.raises(StartError, match=re.escape(str(path))):
            authenticator(admin_path=path)


def test_invalid_keys_are_one_line(tmp_path: Path) -> None:
    short = keys_file(tmp_path, "sesame\n")
    line = failure("--port", "0", "--api-keys-file", str(short))
    assert "16 ASCII characters" in line
    assert "sesame" not in line
    assert "sesame" not in failure("--port", "0", TIEDLM_API_KEYS="sesame")


@pytest.fixture
def _always_checks_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "RELOAD_SECONDS", -1.0)


@pytest.mark.usefixtures("_always_checks_files")
def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = keys_file(tmp_path, ONE)
    made = authenticator(path)
    assert accepts(made, ONE)
    keys_file(tmp_path, f"{OTHER}\n")
    assert not accepts(made, ONE)
    assert accepts(made, OTHER)
    keys_file(tmp_path, ONE, "new").replace(path)
    assert accepts(made, ONE)


@pytest.mark.usefixtures("_always_checks_files")
def test_an_unreadable_file_keeps_the_former_keys(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = keys_file(tmp_path, ONE)
    made = authenticator(path)
    for spoil in (path.unlink, lambda: path.write_text(""), lambda: path.write_bytes(b"\xff\xfe")):
        caplog.clear()
        spoil()
        for _ in range(5):
            assert accepts(made, ONE)
            assert not accepts(made, OTHER)
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
    path.write_text(OTHER)
    assert accepts(made, OTHER)
    assert not accepts(made, ONE)


def test_admin_keys_are_for_admin_routes_only(tmp_path: Path) -> None:
    made = authenticator(keys=ONE, admin_path=keys_file(tmp_path, ADMIN))
    assert accepts(made, ADMIN, "/admin/reload")
    assert not accepts(made, ONE, "/admin/reload")
    assert not accepts(made, ADMIN, "/score")


def test_without_admin_keys_admin_routes_are_forbidden() -> None:
    for made in (authenticator(), authenticator(keys=ONE)):
        with pytest.raises(Forbidden):
            made.check("/admin/reload", bearer(ONE))


@pytest.fixture(scope="module")
def locked(model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    folder = tmp_path_factory.mktemp("keys")
    with serve_with(
        model,
        api_keys_file=keys_file(folder, f"{ONE}\n{OTHER}\n"),
        admin_keys_file=keys_file(folder, ADMIN, "admin"),
    ) as address:
        yield address


@pytest.fixture
def http(locked: Address) -> Iterator[httpx.Client]:
    url = f"http://{locked[0]}:{locked[1]}"
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


CLOSED = [
    ("POST", "/score"),
    ("POST", "/next-token"),
    ("POST", "/rescore"),
    ("POST", "/v1/completions"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/tiedlm"),
    ("GET", "/tokenizer_info"),
    ("GET", "/info"),
    ("GET", "/nowhere"),
    ("GET", "/docs/../info"),
    ("GET", "/%69nfo"),
    ("GET", "/score/"),
]


@pytest.mark.parametrize(("method", "route"), CLOSED)
def test_closed_routes_need_a_key(http: httpx.Client, method: str, route: str) -> None:
    for headers in ({}, {"Authorization": f"Bearer {WRONG}"}, {"Authorization": f"Bearer {ADMIN}"}):
        response = http.request(method, route, headers=headers, json={"text": "a"})
        refusal = error_json(response, 401, "unauthorized")
        assert refusal["type"] == "authentication_error"
        assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("key", [ONE, OTHER])
def test_a_valid_key_is_accepted(http: httpx.Client, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    assert http.post("/score", json={"text": "a"}, headers=headers).status_code == 200
    assert http.get("/info", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "route", ["/docs", "/openapi.json", "/metrics", "/health/live", "/health/ready"]
)
def test_open_routes_stay_open(http: httpx.Client, route: str) -> None:
    assert http.get(route).status_code == 200


def test_files_of_the_documentation_are_open(http: httpx.Client) -> None:
    found = re.findall(r'(?:src|href)="(/[^"]+)"', http.get("/docs").text)
    assert found
    for path in found:
        assert http.get(path).status_code == 200


def test_a_body_without_a_key_is_not_read(locked: Address) -> None:
    """The response arrives although none of the eight announced megabytes is sent."""
    head = "POST /score HTTP/1.1\r\nHost: tests\r\nContent-Type: application/json\r\n"
    with socket.create_connection(locked, timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: {8 << 20}\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 401")


def test_admin_routes_on_the_wire(http: httpx.Client, model: LanguageModel) -> None:
    for key in (ONE, WRONG):
        response = http.post("/admin/reload", headers={"Authorization": f"Bearer {key}"})
        error_json(response, 401, "unauthorized")
    with serve_with(model) as (host, port):
        response = httpx.post(f"http://{host}:{port}/admin/reload", trust_env=False)
        assert error_json(response, 403, "forbidden")["type"] == "permission_error"


def test_the_python_client_sends_a_key(locked: Address) -> None:
    url = f"http://{locked[0]}:{locked[1]}"
    with Client(url, api_key=ONE) as client:
        assert client.score("a").summary.token_count == 2
        assert client.ready()
    for key in (None, WRONG):
        with Client(url, api_key=key) as client, pytest.raises(Unauthorized) as caught:
            client.score("a")
        assert caught.value.code == "unauthorized"
