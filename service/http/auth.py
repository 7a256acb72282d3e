"""API keys: who may call which route."""

import hashlib
import hmac
import logging
import time
from pathlib import Path

from starlette.datastructures import Headers

from service.errors import Forbidden, StartError, Unauthorized
from service.settings import Settings

OPEN_PATHS = ("/", "/docs", "/openapi.json", "/metrics", "/health/live", "/health/ready")
OPEN_FOLDERS = ("/docs/", "/static-offline-docs/", "/playground/")
ADMIN = "/admin/"
LOOK_SECONDS = 1.0  # how soon a changed file counts
SHORTEST_KEY = 16

Stamp = tuple[int, int, int]

log = logging.getLogger(__name__)


class KeyFile:
    """Keys, one a line, `#` before a comment; read again when the file changes. A file that cannot
    be read any more, or holds no keys, leaves the keys as they are and an error in the log.
    """

    def __init__(self, path: Path) -> None:
        """Raises StartError for a file that holds no key, or a short one."""
        self._path = path
        self._looked = time.monotonic()
        self._stamp: Stamp | None = self._changed()
        self._digests = self._read()

    def digests(self) -> list[bytes]:
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._digests

    def _look(self) -> None:
        before, self._stamp = self._stamp, None
        try:
            self._stamp = self._changed()
            if self._stamp != before:
                self._digests = self._read()
                log.info("read %d keys of %s", len(self._digests), self._path)
        except StartError as error:
            if self._stamp != before:  # once a change, not once a second
                log.error("%s; the keys that were read before still hold", error.message)

    def _changed(self) -> Stamp:
        try:
            found = self._path.stat()
        except OSError as error:
            raise StartError(f"keys file {self._path}: {error.strerror}") from None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> list[bytes]:
        try:
            lines = self._path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise StartError(f"keys file {self._path}: {reason}") from None
        keys = [line.strip() for line in lines]
        return _digests(
            [key for key in keys if key and not key.startswith("#")], f"keys file {self._path}"
        )


class Gate:
    """Lets requests in. Comparisons take the same time for every wrong key."""

    def __init__(self, settings: Settings) -> None:
        """Raises StartError for keys that are none."""
        self._keys = None if settings.api_keys_file is None else KeyFile(settings.api_keys_file)
        self._admin = (
            None if settings.admin_keys_file is None else KeyFile(settings.admin_keys_file)
        )
        self._more: list[bytes] = []
        if settings.api_keys is not None:
            given = settings.api_keys.get_secret_value().split(",")
            self._more = _digests([key.strip() for key in given if key.strip()], "TIEDLM_API_KEYS")

    @property
    def locked(self) -> bool:
        """Whether clients need a key."""
        return self._keys is not None or bool(self._more)

    def check(self, path: str, headers: Headers) -> None:
        """Raises Unauthorized without a key that fits, Forbidden where none could."""
        if path.startswith(ADMIN):
            if self._admin is None:
                raise Forbidden("this server takes no admin requests: it has no --admin-keys-file")
            return _match(headers, self._admin.digests())
        if self.locked and path not in OPEN_PATHS and not path.startswith(OPEN_FOLDERS):
            file = [] if self._keys is None else self._keys.digests()
            _match(headers, [*file, *self._more])
        return None


def _match(headers: Headers, digests: list[bytes]) -> None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    digest = hashlib.sha256(key.strip().encode("latin-1", "replace")).digest()
    found = [hmac.compare_digest(digest, known) for known in digests]
    if scheme.lower() != "bearer" or not any(found):
        raise Unauthorized("send the header Authorization: Bearer and a key of this server's")


def _digests(keys: list[str], where: str) -> list[bytes]:
    if not keys:
        raise StartError(f"{where}: no key in it")
    if any(len(key) < SHORTEST_KEY or not key.isascii() for key in keys):
        raise StartError(f"{where}: a key is {SHORTEST_KEY} ASCII characters or more")
    return [hashlib.sha256(key.encode()).digest() for key in keys]
