"""Checkpoint directory → bundle directory, whole or not at all."""

import hashlib
import os
import shutil
from pathlib import Path

from model_export.card import model_card
from model_export.errors import ExportError
from model_export.graph import build_decoder, build_encoder
from model_export.parity import check_parity
from model_export.weights import FILE as WEIGHTS
from model_export.weights import WeightsFile
from service.bundle import FORMAT_VERSION, Bundle, FileEntry, Manifest
from service.inference.engine import OnnxEngine
from train.checkpoint import Checkpoint, load_model
from train.model import TiedLSTM, layer_sizes, parameter_count
from train.tokenizer import UNKNOWN, end_id


def export(checkpoint: Path, bundle: Path, replace: bool = False) -> Manifest:
    """Write a bundle and return its manifest.

    Raises ExportError when the target exists, the model is untied, or parity fails; CheckpointError
    and OSError as they come. Whatever is raised, `bundle` is as it was before.
    """
    if bundle.exists() and not replace:
        raise ExportError(f"{bundle} exists; give another directory, or --replace")
    model, config, tokenizer = load_model(checkpoint)
    if not config.model.tied:
        raise ExportError(
            f"{checkpoint} is untied (model.tied = false); only tied models are served"
        )
    contents = _contents(model, (tokenizer.to_str() + "\n").encode())
    sizes = [width for _, width in layer_sizes(config.model)]
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name=config.name,
        precision="float32",
        vocabulary_size=tokenizer.get_vocab_size(),
        embedding_size=config.model.embedding_size,
        state_size=2 * sum(sizes),
        parameters=parameter_count(model),
        prefix_token_id=end_id(tokenizer),
        unknown_token_id=tokenizer.token_to_id(UNKNOWN),
        files={
            name: FileEntry(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for name, content in contents.items()
        },
        parity={},
        training=Checkpoint(checkpoint).report or {},
    )
    engine = OnnxEngine(Bundle(manifest, contents, hash=""))
    manifest = manifest.model_copy(update={"parity": check_parity(model, engine)})
    contents["manifest.json"] = (manifest.model_dump_json(indent=2) + "\n").encode()
    contents["README.md"] = model_card(config, manifest).encode()
    _write(bundle, contents)
    return manifest


def _contents(model: TiedLSTM, tokenizer: bytes) -> dict[str, bytes]:
    weights = WeightsFile()
    encoder, decoder = build_encoder(model, weights), build_decoder(model, weights)
    return {
        "encoder.onnx": encoder,
        "decoder.onnx": decoder,
        WEIGHTS: weights.content,
        "tokenizer.json": tokenizer,
    }


def _write(bundle: Path, contents: dict[str, bytes]) -> None:
    """Write a directory beside the target, then rename it into place."""
    bundle.parent.mkdir(parents=True, exist_ok=True)
    partial = bundle.with_name(f".{bundle.name}.partial-{os.getpid()}")
    old = bundle.with_name(f".{bundle.name}.old-{os.getpid()}")
    try:
        partial.mkdir()
        for name, content in contents.items():
            with (partial / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if bundle.exists():
            bundle.rename(old)
        partial.rename(bundle)
    except BaseException:
        if old.exists() and not bundle.exists():
            old.rename(bundle)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
