"""`python -m model_export CHECKPOINT BUNDLE`: a checkpoint in, a bundle that passed parity out."""

import argparse
import sys
from pathlib import Path

from train.runtime.packages import require_packages

if __name__ == "__main__":
    require_packages("onnx", "onnxruntime", "orjson")

from model_export.card import largest_differences
from model_export.errors import ExportError
from model_export.export import PRECISIONS, export
from service.errors import BundleError, OutputError
from service.files.outputs import Output, refuse_inputs
from service.runtime.console import print_any_text
from train.errors import TrainError


def main(arguments: list[str] | None = None) -> int:
    print_any_text()
    parser = argparse.ArgumentParser(prog="python -m model_export", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="what `python -m train` wrote")
    parser.add_argument("bundle", type=Path, help="directory to make; it must not exist yet")
    parser.add_argument("--replace", action="store_true", help="replace an existing bundle")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="int8", help="of weights and activations"
    )
    parser.add_argument(
        "--test", type=Path, metavar="FILE", help="a text that the card has figures of, as served"
    )
    parser.add_argument(
        "--examples", type=Path, metavar="FILE", help="texts for the card, one a line"
    )
    options = parser.parse_args(arguments)
    try:
        if options.replace:
            read = [options.checkpoint, *options.checkpoint.rglob("*"), options.test]
            bundle = Output(options.bundle, f"the bundle {options.bundle}")
            refuse_inputs([bundle], filter(None, [*read, options.examples]))
        test = options.test and options.test.read_text(encoding="utf-8")
        examples = options.examples.read_text(encoding="utf-8") if options.examples else ""
        manifest = export(
            options.checkpoint,
            options.bundle,
            options.precision,
            options.replace,
            test,
            [line for line in examples.splitlines() if line],
        )
    except UnicodeDecodeError as error:
        print(f"error: a text is not UTF-8: {error.reason}", file=sys.stderr)
        return 1
    except (ExportError, TrainError, BundleError, OutputError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.strerror}: {error.filename or options.bundle}", file=sys.stderr)
        return 1
    size = sum(entry.bytes for entry in manifest.files.values())
    print(
        f"{options.bundle}: {manifest.name}, {manifest.parameters:,} parameters, "
        f"{size / 1e6:.1f} MB. {largest_differences(manifest)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
