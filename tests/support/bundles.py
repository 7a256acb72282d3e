"""Functions that change or damage copies of a bundle."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Edit = Callable[[dict[str, Any]], object]


def edit_manifest(bundle: Path, edit: Edit) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    edit(manifest)
    path.write_text(json.dumps(manifest))


def replace(bundle: Path, name: str, content: bytes) -> None:
    """Replace a file, and its size and hash in the manifest."""
    (bundle / name).write_bytes(content)
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit_manifest(bundle, lambda manifest: manifest["files"].update({name: entry}))


def flip_a_bit(path: Path) -> None:
    with path.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
