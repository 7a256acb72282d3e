"""The export: from a checkpoint directory to a bundle directory, which is complete or absent."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tokenizers import Tokenizer

from model_export.card import Measured, model_card
from model_export.decoder import build_decoder
from model_export.encoder import build_encoder
from model_export.errors import SourceError
from model_export.fidelity import Fidelity, compare
from model_export.float32 import Float32Layers
from model_export.parity import check_parity
from model_export.quantize import Int8Layers
from model_export.served import Served
from model_export.target import check_target, write_bundle
from model_export.weights import FILE as WEIGHTS
from model_export.weights import WeightsFile
from service.bundle import FORMAT_VERSION, Bundle, FileEntry, Manifest
from service.inference.engine import OnnxEngine
from train.checkpoint import Checkpoint, load_model
from train.config import Config
from train.data.tokenizer import SUBWORD, UNKNOWN, end_id
from train.model.lstm import TiedLSTM, layer_sizes, parameter_count

Precision = Literal["float32", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A checkpoint's model, configuration and tokenizer."""

    checkpoint: Checkpoint
    model: TiedLSTM
    config: Config
    tokenizer: Tokenizer


def export(
    checkpoint: Path,
    bundle: Path,
    precision: Precision = "int8",
    replace: bool = False,
    test: str | None = None,
    examples: Sequence[str] = (),
) -> Manifest:
    """Write a bundle and return its manifest. The card has the scores of `test` and `examples`.

    The float32 graphs must agree with the checkpoint in either precision, and an int8 bundle with
    the float32 graphs. `bundle` may be a link, which is followed. `replace` removes only the files
    of a bundle. Raises ExportError, CheckpointError, OSError; `bundle` is then as it was before.
    """
    bundle = Path(os.path.realpath(bundle))  # "." has no name to derive others from
    check_target(bundle, replace)
    loaded = _load(checkpoint)
    report = loaded.checkpoint.report
    made = _build(loaded, "float32")
    engine = OnnxEngine(made)
    parity, fidelity = check_parity(loaded.model, engine), None
    if precision == "int8":
        made = _build(loaded, "int8")
        fidelity = _check_fidelity(loaded, engine, made)
    manifest = made.manifest.model_copy(
        update={
            "parity": asdict(parity),
            "fidelity": fidelity and asdict(fidelity),
            "training": report.to_dict() if report else {},
        }
    )
    served = Served(made) if test or examples else None
    measured = Measured(
        parity,
        fidelity,
        served.figures(test) if served and test else None,
        [served.example(text) for text in examples if served],
    )
    contents = {
        **made.contents,
        "manifest.json": (manifest.model_dump_json(indent=2) + "\n").encode(),
        "README.md": model_card(loaded.config, manifest, report, measured).encode(),
    }
    write_bundle(bundle, contents)
    return manifest


def _load(folder: Path) -> LoadedCheckpoint:
    """Raises CheckpointError; SourceError if the model is untied."""
    model, config, tokenizer = load_model(folder)
    if not config.model.tied:
        raise SourceError(f"{folder} is untied (model.tied = false); only tied models export")
    return LoadedCheckpoint(Checkpoint(folder), model, config, tokenizer)


def _check_fidelity(loaded: LoadedCheckpoint, reference: OnnxEngine, made: Bundle) -> Fidelity:
    """Compare an int8 bundle with the float32 engine on the checkpoint's validation ids.

    Raises FidelityError, CheckpointError; SourceError if the ids do not fit the vocabulary.
    """
    manifest = made.manifest
    ids = loaded.checkpoint.validation_ids()
    if not len(ids) or not 0 <= ids.min() <= ids.max() < manifest.vocabulary_size:
        path = loaded.checkpoint.folder / "validation_ids.npy"
        raise SourceError(f"{path} is empty or has ids outside the vocabulary; train again")
    fidelity = compare(reference, OnnxEngine(made), ids, manifest.prefix_token_id)
    fidelity.check()
    return fidelity


def _build(loaded: LoadedCheckpoint, precision: Precision) -> Bundle:
    """Return the graphs in memory, with a manifest that has no measurements yet."""
    model, config, tokenizer = loaded.model, loaded.config, loaded.tokenizer
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
