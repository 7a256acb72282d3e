"""`make portability`: one int8 bundle on this processor and on an emulated AVX2-only one.

    python -m tests.programs.portability [BUNDLE] [--sentences 4]

Prints the largest difference in nats. Exit code 1 if it is above 1e-5, 2 without qemu-user.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from service.runtime.startup import print_any_text
from service.settings import STARTER_BUNDLE

EMULATOR = "qemu-x86_64"
LARGEST_DIFFERENCE = 1e-5


def difference(bundle: Path, sentences: int) -> tuple[float, int]:
    """Return the largest |Δ logprob| between the processors and the number of tokens."""
    command = [
        sys.executable,
        "-m",
        "tests.programs.portability.scores",
        str(bundle),
        str(sentences),
    ]
    emulator = [EMULATOR, "-cpu", "Haswell"]
    here, there = (
        json.loads(subprocess.check_output([*before, *command], stderr=subprocess.DEVNULL))
        for before in ([], emulator)
    )
    return max(abs(a - b) for a, b in zip(here, there, strict=True)), len(here)


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.portability", description=__doc__
    )
    parser.add_argument("bundle", type=Path, nargs="?", default=STARTER_BUNDLE)
    parser.add_argument("--sentences", type=int, default=4)
    options = parser.parse_args()
    if shutil.which(EMULATOR) is None:
        print(f"error: no {EMULATOR}; install it (Debian: apt-get install qemu-user)")
        return 2
    largest, tokens = difference(options.bundle, options.sentences)
    print(f"largest difference over {tokens} tokens: {largest:.2e} nats")
    return int(not largest <= LARGEST_DIFFERENCE)


if __name__ == "__main__":
    sys.exit(main())
