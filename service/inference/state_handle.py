"""A recurrent state as a handle for clients: opaque text, authenticated, bound to one model.

    base64url( version (1 byte) · HMAC-SHA-256 (32 bytes) · state (S float32, little-endian) )

The HMAC covers the version, the bundle's hash and the state, so that a handle that was changed or
cut, or made with another key or bundle, is refused. The server keeps nothing: any replica with the
same key and bundle opens the handle. The floats are exact, because continuing from a handle must
give the same figures as not stopping.
"""

import base64
import binascii
import hashlib
import hmac

import numpy as np

from service.arrays import Floats
from service.errors import InvalidState

VERSION = b"\x01"
MAC_BYTES = hashlib.sha256().digest_size


class StateCodec:
    def __init__(self, key: bytes, bundle_hash: str, state_size: int) -> None:
        """`bundle_hash` is hexadecimal; `state_size` is S."""
        self._mac = hmac.new(key, digestmod=hashlib.sha256)
        self._mac.update(VERSION + bytes.fromhex(bundle_hash))
        self._state_size = state_size

    def seal(self, state: Floats) -> str:
        """Return the handle of a state (S,)."""
        content = state.astype("<f4").tobytes()
        return base64.urlsafe_b64encode(VERSION + self._code(content) + content).decode()

    def open(self, handle: str) -> Floats:
        """Return the state (S,) of a handle. Raises InvalidState for any text that `seal` did not
        make with the same key and bundle.
        """
        try:
            raw = base64.b64decode(handle.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raise InvalidState(
                "state is not a handle of this service; send the whole text again", "state"
            ) from None
        code, content = raw[1 : 1 + MAC_BYTES], raw[1 + MAC_BYTES :]
        authentic = hmac.compare_digest(code, self._code(content))
        if raw[:1] != VERSION or not authentic or len(content) != 4 * self._state_size:
            raise InvalidState(
                "state was changed, or comes from another model or another server's key; "
                "send the whole text again",
                "state",
            )
        return np.frombuffer(content, "<f4").astype(np.float32)

    def _code(self, content: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(content)
        return mac.digest()
