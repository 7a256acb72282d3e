"""Export a checkpoint of `python -m train` to a bundle that the service reads.

The bundle is written only if its graphs agree with the checkpoint.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from train.runtime.packages import require_packages

if __name__ == "__main__":
    require_packages("onnx", "onnxruntime", "orjson")

from model_export.card import largest_differences
from model_export.errors import ExportError
from model_export.export import PRECISIONS, export
from model_export.fidelity import Fidelity
from model_export.parity import Parity
from service.bundle import Manifest
from service.errors import BundleError, OutputError
from service.files.outputs import Output, refuse_inputs
from service.runtime.startup import print_any_text
from train.errors import TrainError


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(prog="python -m model_export", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="folder that `python -m train` wrote")
    parser.add_argument("bundle", type=Path, help="directory to write; it must not exist yet")
    parser.add_argument("--replace", action="store_true", help="replace an existing bundle")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="int8",
        help="of weights and activations (default int8)",
    )
    parser.add_argument(
        "--test",
        type=Path,
        metavar="FILE",
        help="text whose perplexity, as served, is put on the card",
    )
    parser.add_argument(
        "--examples",
        type=Path,
        metavar="FILE",
        help="texts whose scores are put on the card, one per line",
    )
    return parser


def run(options: argparse.Namespace) -> Manifest:
    """Export as the options require, and return the bundle's manifest.

    Raises ExportError, TrainError, BundleError, OutputError, OSError; UnicodeDecodeError if a text
    is not UTF-8.
    """
    if options.replace:
        inputs = [options.checkpoint, *options.checkpoint.rglob("*"), options.test]
        bundle = Output(options.bundle, f"the bundle {options.bundle}")
        refuse_inputs([bundle], filter(None, [*inputs, options.examples]))
    test = options.test and options.test.read_text(encoding="utf-8")
    examples = options.examples.read_text(encoding="utf-8") if options.examples else ""
    return export(
        options.checkpoint,
        options.bundle,
        options.precision,
        options.replace,
        test,
        [line for line in examples.splitlines() if line],
    )


def summary(bundle: Path, manifest: Manifest) -> str:
    """Return the size and the accuracy of a bundle in one line."""
    size = sum(entry.bytes for entry in manifest.files.values())
    figures: dict[str, Any] | None = manifest.fidelity
    fidelity = Fidelity(**figures) if figures else None
    return (
        f"{bundle}: {manifest.name}, {manifest.parameters:,} parameters, {size / 1e6:.1f} MB. "
        f"{largest_differences(Parity(**manifest.parity), fidelity)}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    print_any_text()
    options = parser().parse_args(arguments)
    try:
        manifest = run(options)
    except UnicodeDecodeError as error:
        return _fail(f"a text is not UTF-8: {error.reason}")
    except (ExportError, TrainError, BundleError, OutputError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.strerror}: {error.filename or options.bundle}")
    print(summary(options.bundle, manifest))
    return 0


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
