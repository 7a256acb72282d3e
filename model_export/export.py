"""Checkpoint directory → bundle directory, whole or not at all."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from tokenizers import Tokenizer

from model_export.card import model_card
from model_export.decoder import build_decoder
from model_export.encoder import build_encoder
from model_export.errors import ExportError
from model_export.fidelity import check_fidelity, compare
from model_export.float32 import Float32Layers
from model_export.parity import check_parity
from model_export.quantize import Int8Layers
from model_export.served import Served
from model_export.weights import FILE as WEIGHTS
from model_export.weights import WeightsFile
from service.bundle import FORMAT_VERSION, Bundle, FileEntry, Manifest
from service.errors import BundleError
from service.files.atomic import replace_durably, sync_file
from service.files.bundle_files import read_manifest
from service.inference.engine import OnnxEngine
from train.checkpoint import Checkpoint, load_model
from train.config import Config
from train.data.tokenizer import SUBWORD, UNKNOWN, end_id
from train.model.lstm import TiedLSTM, layer_sizes, parameter_count

Precision = Literal["float32", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")


def export(
    checkpoint: Path,
    bundle: Path,
    precision: Precision = "int8",
    replace: bool = False,
    test: str | None = None,
    examples: Sequence[str] = (),
) -> Manifest:
    """Write a bundle and return its manifest. The card tells what the bundle scores on the text
    `test` and on `examples`.

    The float32 graphs must agree with the checkpoint whatever is written, and an int8 bundle with
    them. A link is followed, `replace` removes nothing but a bundle's own files. Raises ExportError
    when the target exists, the model is untied, or a comparison fails; CheckpointError and OSError
    as they come. Whatever is raised, `bundle` is as it was before.
    """
    bundle = Path(os.path.realpath(bundle))  # "." has no name to write beside
    if bundle.exists() and not replace:
        raise ExportError(f"{bundle} exists; give another directory, or --replace")
    _check_own(bundle)
    model, config, tokenizer = load_model(checkpoint)
    if not config.model.tied:
        raise ExportError(f"{checkpoint} is untied (model.tied = false); only tied models export")
    run = Checkpoint(checkpoint)
    made = _bundle(model, config, tokenizer, "float32")
    engine = OnnxEngine(made)
    parity, fidelity = check_parity(model, engine), None
    if precision == "int8":
        made = _bundle(model, config, tokenizer, "int8")
        ids = run.validation_ids()
        if not len(ids) or not 0 <= ids.min() <= ids.max() < made.manifest.vocabulary_size:
            raise ExportError(f"{checkpoint / 'validation_ids.npy'} does not fit the vocabulary")
        fidelity = compare(engine, OnnxEngine(made), ids, made.manifest.prefix_token_id)
        check_fidelity(fidelity)
    manifest = made.manifest.model_copy(
        update={"parity": parity, "fidelity": fidelity, "training": run.report or {}}
    )
    contents = {
        **made.contents,
        "manifest.json": (manifest.model_dump_json(indent=2) + "\n").encode(),
        "README.md": _card(config, manifest, made, test, examples).encode(),
    }
    _write(bundle, contents)
    return manifest


def _card(
    config: Config, manifest: Manifest, made: Bundle, test: str | None, examples: Sequence[str]
) -> str:
    served = Served(made) if test or examples else None
    figures = served.figures(test) if served and test else None
    return model_card(config, manifest, figures, [served.example(x) for x in examples if served])


def _bundle(model: TiedLSTM, config: Config, tokenizer: Tokenizer, precision: Precision) -> Bundle:
    """The graphs of a model in memory, with a manifest that has not been measured yet."""
    layers = Float32Layers(model) if precision == "float32" else Int8Layers(model)
    widths = [width for _, width in layer_sizes(config.model)]
    weights = WeightsFile()
    contents = {
        "encoder.onnx": build_encoder(layers, widths, weights),
        "decoder.onnx": build_decoder(layers, widths[-1], tokenizer.get_vocab_size(), weights),
        WEIGHTS: weights.content,
        "tokenizer.json": (tokenizer.to_str() + "\n").encode(),
    }
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name=config.name,
        precision=precision,
        vocabulary_size=tokenizer.get_vocab_size(),
        embedding_size=config.model.embedding_size,
        state_size=2 * sum(widths),
        parameters=parameter_count(model),
        prefix_token_id=end_id(tokenizer),
        unknown_token_id=tokenizer.token_to_id(UNKNOWN),
        subword=config.tokenizer.kind in SUBWORD,
        files={
            name: FileEntry(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for name, content in contents.items()
        },
        parity={},
        fidelity=None,
        training={},
    )
    return Bundle(manifest, contents, hash="")


def _check_own(bundle: Path) -> None:
    """Raises ExportError when the target holds anything that no export wrote."""
    if not bundle.exists():
        return
    try:
        manifest = Manifest.model_validate_json(read_manifest(bundle / "manifest.json"))
    except (BundleError, ValidationError):
        raise ExportError(
            f"{bundle} holds no bundle of format version {FORMAT_VERSION}; --replace replaces "
            "bundles alone, so give another directory"
        ) from None
    own = {"manifest.json", "README.md", *manifest.files}
    others = sorted(p.name for p in bundle.iterdir() if p.name not in own or p.is_dir())
    if others:
        raise ExportError(
            f"{bundle} has {others[0]} in it, which no export wrote; move it away, or give another "
            "directory"
        )


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
                sync_file(file)
        if bundle.exists():
            _check_own(bundle)  # again: an export takes minutes
            bundle.rename(old)
        replace_durably(partial, bundle)
    except BaseException:
        if old.exists() and not bundle.exists():
            old.rename(bundle)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
