"""Run an image with production settings and check the guarantees of docs/operations.md.

`python -m tests.programs.smoke ENGINE IMAGE --base BASE --bundle DIR`, or `--train DIR` for the
trainer's image. It needs only the standard library, because it runs on the build machine.
"""

import argparse
import sys
from pathlib import Path

from tests.programs.smoke.checks import Failure
from tests.programs.smoke.service import check_service
from tests.programs.smoke.trainer import check_training


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.programs.smoke", description=__doc__)
    parser.add_argument("engine")
    parser.add_argument("image")
    parser.add_argument("--base")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--train", type=Path)
    options = parser.parse_args()
    try:
        if options.train:
            check_training(options.engine, options.image, options.train)
        else:
            check_service(options.engine, options.image, options.base, options.bundle)
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
