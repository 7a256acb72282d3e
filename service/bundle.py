"""The bundle: the directory that `model_export` writes and the service serves.

    encoder.onnx     ids, lengths, rows, state → hidden vectors, new state
    decoder.onnx     hidden vectors, targets → log-probabilities, and on request more
    weights.bin      the tensors of both graphs; the embedding matrix is in it once
    tokenizer.json   text ⇄ ids, in the format of the tokenizers library
    manifest.json    this module's `Manifest`
    README.md        the model card

Every file is read once. Its bytes are hashed, and the engine gets the same bytes, so that later
changes of the files cannot change a score.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import BundleError, first_problem
from service.files.bundle_files import is_folder, read_file, read_manifest
from service.limits import (
    MAX_EMBEDDING_SIZE,
    MAX_PARAMETERS,
    MAX_STATE_SIZE,
    MAX_VOCABULARY_SIZE,
)

FORMAT_VERSION: Final = 2
FILES = ("encoder.onnx", "decoder.onnx", "weights.bin", "tokenizer.json")

Count = Annotated[int, Field(ge=0, le=MAX_PARAMETERS)]


class FileEntry(BaseModel):
    """A file of the bundle: its size and its hash."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """The description of a bundle's model. Sizes are element counts.

    `state_size` is the width of a recurrent state, all layers side by side; its last
    `2 · embedding_size` entries are the last layer's hidden and cell state. With `subword` a word
    may be several tokens, and the text is the concatenation of the tokens' spellings. `parity`
    compares the float32 graphs with the checkpoint, `fidelity` an int8 model with the float32 model
    on validation text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[2]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    precision: Literal["float32", "int8"]
    vocabulary_size: Annotated[int, Field(ge=2, le=MAX_VOCABULARY_SIZE)]
    embedding_size: Annotated[int, Field(gt=0, le=MAX_EMBEDDING_SIZE)]
    state_size: Annotated[int, Field(gt=0, le=MAX_STATE_SIZE)]
    parameters: Count
    prefix_token_id: Annotated[int, Field(gt=0, lt=MAX_VOCABULARY_SIZE)]
    unknown_token_id: Count | None
    subword: bool = False
    files: dict[str, FileEntry]
    parity: dict[str, float]
    fidelity: dict[str, float] | None
    training: dict[str, Any]


@dataclass(frozen=True)
class Bundle:
    """A checked bundle in memory. `hash` is the SHA-256 of its manifest, which holds the hashes of
    all other files.
    """

    manifest: Manifest
    contents: dict[str, bytes]
    hash: str

    @classmethod
    def load(cls, path: Path) -> "Bundle":
        """Read the bundle at `path`.

        Raises BundleError for a missing or changed file, wrong sizes and other format versions.
        """
        if not is_folder(path):
            raise BundleError(f"bundle {path}: no such directory")
        raw = read_manifest(path / "manifest.json")
        manifest = _parse_manifest(raw, path)
        contents = {}
        for name in FILES:
            entry = manifest.files.get(name)
            if entry is None:
                raise BundleError(
                    f"bundle {path}: manifest.json does not list {name}; export the bundle again"
                )
            content = read_file(path / name, entry.bytes)
            if hashlib.sha256(content).hexdigest() != entry.sha256:
                raise BundleError(
                    f"bundle {path}: {name} was changed: its hash is not that of manifest.json; "
                    "copy or export the bundle again"
                )
            contents[name] = content
        return cls(manifest, contents, hashlib.sha256(raw).hexdigest())


def _parse_manifest(raw: bytes, path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        problem = first_problem(error.errors())
        raise BundleError(
            f"bundle {path}: manifest.json, {problem.place}: {problem.message} "
            f"(this service reads format version {FORMAT_VERSION})"
        ) from None
