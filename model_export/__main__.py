"""`python -m model_export CHECKPOINT BUNDLE`: a checkpoint in, a bundle that passed parity out."""

import argparse
import sys
from pathlib import Path

from model_export.errors import ExportError
from model_export.export import PRECISIONS, export
from service.errors import BundleError
from train.errors import TrainError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m model_export", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="what `python -m train` wrote")
    parser.add_argument("bundle", type=Path, help="directory to make; it must not exist yet")
    parser.add_argument("--replace", action="store_true", help="replace an existing bundle")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="int8", help="of weights and activations"
    )
    options = parser.parse_args(arguments)
    try:
        manifest = export(options.checkpoint, options.bundle, options.precision, options.replace)
    except (ExportError, TrainError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.strerror}: {error.filename or options.bundle}", file=sys.stderr)
        return 1
    size = sum(entry.bytes for entry in manifest.files.values())
    print(
        f"{options.bundle}: {manifest.name}, {manifest.parameters:,} parameters, "
        f"{size / 1e6:.1f} MB, largest difference "
        f"{manifest.parity['max_abs_logprob_difference']:.1e} nats a token"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
