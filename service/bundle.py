"""The bundle: the directory that `model_export` writes and the service reads.

    encoder.onnx     ids, lengths, rows, state → hidden vectors, new state
    decoder.onnx     hidden vectors, targets → log-probabilities, and on request more
    weights.bin      the tensors of both graphs; the embedding matrix is in it once
    tokenizer.json   text ⇄ ids, in the format of the tokenizers library
    manifest.json    this module's `Manifest`
    README.md        the model card

Every file is read once, those bytes are hashed, and the engine gets *those* bytes: whatever
happens to the files afterwards changes no answer.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import BundleError
from service.files.bundle_files import is_folder, read_file, read_manifest

FORMAT_VERSION: Final = 2
FILES = ("encoder.onnx", "decoder.onnx", "weights.bin", "tokenizer.json")

# Far beyond any vocabulary and any recurrent layer, and still within what arrays can have.
MOST_ENTRIES = 2**24
MOST_WIDTH = 2**20
MOST_STATE = 2**24
MOST_PARAMETERS = 2**48

Count = Annotated[int, Field(ge=0, le=MOST_PARAMETERS)]


class FileEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """What the service must know of a model. Sizes are element counts.

    `state_size` is the width of a recurrent state as the encoder takes and gives it, all layers
    side by side; its last `2 · embedding_size` entries are the last layer's hidden and cell state.
    With `subword` a word is several tokens, and the tokens' spellings in a row are the text.
    `parity` compares the float32 graphs with the checkpoint they came from, `fidelity` an int8
    model with the float32 one on validation text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[2]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    precision: Literal["float32", "int8"]
    vocabulary_size: Annotated[int, Field(ge=2, le=MOST_ENTRIES)]
    embedding_size: Annotated[int, Field(gt=0, le=MOST_WIDTH)]
    state_size: Annotated[int, Field(gt=0, le=MOST_STATE)]
    parameters: Count
    prefix_token_id: Annotated[int, Field(gt=0, lt=MOST_ENTRIES)]
    unknown_token_id: Count | None
    subword: bool = False
    files: dict[str, FileEntry]
    parity: dict[str, float]
    fidelity: dict[str, float] | None
    training: dict[str, Any]


@dataclass(frozen=True)
class Bundle:
    """A checked bundle in memory. `hash` names these very bytes."""

    manifest: Manifest
    contents: dict[str, bytes]
    hash: str

    @classmethod
    def load(cls, path: Path) -> "Bundle":
        """Raises BundleError for a missing or changed file, another format version, wrong sizes."""
        if not is_folder(path):
            raise BundleError(f"bundle {path}: no such directory")
        raw = read_manifest(path / "manifest.json")
        manifest = _parse_manifest(raw, path)
        contents = {}
        for name in FILES:
            entry = manifest.files.get(name)
            if entry is None:
                raise BundleError(f"bundle {path}: manifest.json does not list {name}")
            content = read_file(path / name, entry.bytes)
            if hashlib.sha256(content).hexdigest() != entry.sha256:
                raise BundleError(f"bundle {path}: {name} was changed, its hash does not match")
            contents[name] = content
        return cls(manifest, contents, hashlib.sha256(raw).hexdigest())


def _parse_manifest(raw: bytes, path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise BundleError(
            f"bundle {path}: manifest.json, {where}: {first['msg']} "
            f"(this service reads format version {FORMAT_VERSION})"
        ) from None
