"""Authentication: which API key may call which route."""

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
ADMIN_FOLDER = "/admin/"
RELOAD_SECONDS = 1.0  # how often a key file is checked for changes
MIN_KEY_CHARACTERS = 16

FileStamp = tuple[int, int, int]  # time of change in nanoseconds, bytes, inode

log = logging.getLogger(__name__)


class KeyFile:
    """Keys from a file, one a line, with comments after `#`. A changed file is read again.

    If the changed file cannot be read or holds no keys, the keys stay, and the log has an error.
    """

    def __init__(self, path: Path) -> None:
        """Raise StartError if the file cannot be read, or holds no key or an invalid one."""
        self._path = path
        self._checked_at = time.monotonic()
        self._stamp: FileStamp | None = self._read_stamp()
        self._digests = self._read_digests()

    def digests(self) -> list[bytes]:
        """Return the SHA-256 digests of the keys."""
        now = time.monotonic()
        if now - self._checked_at > RELOAD_SECONDS:
            self._checked_at = now
            self._reload_if_changed()
        return self._digests

    def _reload_if_changed(self) -> None:
        before, self._stamp = self._stamp, None
        try:
            self._stamp = self._read_stamp()
            if self._stamp != before:
                self._digests = self._read_digests()
                log.info("read %d keys from %s", len(self._digests), self._path)
        except StartError as error:
            if self._stamp != before:  # log once per change, not once per second
                log.error("%s; the former keys stay valid", error.message)

    def _read_stamp(self) -> FileStamp:
        try:
            status = self._path.stat()
        except OSError as error:
            raise StartError(f"keys file {self._path}: {error.strerror}") from None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read_digests(self) -> list[bytes]:
        try:
            lines = self._path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise StartError(f"keys file {self._path}: {reason}") from None
        keys = [line.strip() for line in lines]
        return _digests(
            [key for key in keys if key and not key.startswith("#")], f"keys file {self._path}"
        )


class Authenticator:
    """Checks the API key of a request. A comparison takes the same time for every wrong key."""

    def __init__(self, settings: Settings) -> None:
        """Raise StartError if a key is shorter than 16 characters or not ASCII."""
        api_file, admin_file = settings.api_keys_file, settings.admin_keys_file
        self._key_file = None if api_file is None else KeyFile(api_file)
        self._admin_key_file = None if admin_file is None else KeyFile(admin_file)
        self._digests: list[bytes] = []
        if settings.api_keys is not None:
            keys = settings.api_keys.get_secret_value().split(",")
            self._digests = _digests(
                [key.strip() for key in keys if key.strip()], "TIEDLM_API_KEYS"
            )

    @property
    def requires_key(self) -> bool:
        """Return whether routes that are not open need a key."""
        return self._key_file is not None or bool(self._digests)

    def check(self, path: str, headers: Headers) -> None:
        """Raise Unauthorized if the route needs a key and the request has no valid one, and
        Forbidden if the route is for admins and the server has no admin keys.
        """
        if path.startswith(ADMIN_FOLDER):
            if self._admin_key_file is None:
                raise Forbidden(
                    "admin requests are disabled: start the server with --admin-keys-file"
                )
            return _check_key(headers, self._admin_key_file.digests())
        if self.requires_key and path not in OPEN_PATHS and not path.startswith(OPEN_FOLDERS):
            from_file = [] if self._key_file is None else self._key_file.digests()
            _check_key(headers, [*from_file, *self._digests])
        return None


def _check_key(headers: Headers, digests: list[bytes]) -> None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    sent = hashlib.sha256(key.strip().encode("latin-1", "replace")).digest()
    matches = [hmac.compare_digest(sent, digest) for digest in digests]
    if scheme.lower() != "bearer" or not any(matches):
        raise Unauthorized(
            "missing or invalid API key: send the header Authorization: Bearer KEY with a key of "
            "this server"
        )


def _digests(keys: list[str], source: str) -> list[bytes]:
    """Return the SHA-256 digests of keys from a source. Raise StartError, which names it."""
    if not keys:
        raise StartError(f"{source}: it holds no keys")
    if any(len(key) < MIN_KEY_CHARACTERS or not key.isascii() for key in keys):
        raise StartError(f"{source}: invalid key (at least {MIN_KEY_CHARACTERS} ASCII characters)")
    return [hashlib.sha256(key.encode()).digest() for key in keys]
