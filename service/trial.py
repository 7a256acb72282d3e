"""`python -m service.trial BUNDLE`: load a bundle as the service does, in a process of its own.

What a bundle holds can take for ever, take all memory, or end the process that reads it. On a
reload that process must not be the one that serves. This one has limits, and prints the hash of a
bundle that passed, or one line about one that did not.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

from service.bundle import FILES, Bundle
from service.errors import BundleError, StartError
from service.language_model import LanguageModel
from service.logs import configure_logging
from service.settings import Settings

# Of time: the starter takes 2 seconds on an idle core, and 100 MB of weights about one more.
SECONDS, SECONDS_A_BYTE = 60.0, 1e-7
# Of address space: libraries and threads reserve 2 GiB. Weights are held as read and as laid out.
SPACE_BYTES, SPACE_A_BYTE = 4 << 30, 8
# Libraries reserve space for each thread that they start, one a core.
ONE_THREAD = {
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
# Small batches: what counts is whether the graphs run.
BATCH_TOKENS = 64


def try_out(path: Path) -> str:
    """Load a bundle in another process; return its hash. Raises BundleError with that process's
    reason, or for what it did not survive.
    """
    size = sum(_bytes(path / name) for name in FILES)
    seconds = SECONDS + SECONDS_A_BYTE * size
    command = [sys.executable, "-m", "service.trial", str(path), str(size)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=os.environ | ONE_THREAD,
        )
    except subprocess.TimeoutExpired:
        raise BundleError(
            f"bundle {path}: it was not loaded within {seconds:.0f} seconds"
        ) from None
    except OSError as error:
        raise BundleError(f"bundle {path}: it was not tried out: {error.strerror}") from None
    if done.returncode == 0:
        return done.stdout.strip()
    if done.returncode == 1 and done.stdout.startswith("error: "):
        raise BundleError(done.stdout.removeprefix("error: ").strip())
    raise BundleError(
        f"bundle {path}: the process that tried it out ended with status {done.returncode}; "
        "it may need more memory than there is"
    )


def main(arguments: list[str]) -> int:
    path, size = Path(arguments[0]), int(arguments[1])
    most = SPACE_BYTES + SPACE_A_BYTE * size
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    configure_logging("error", "text")
    try:
        print(_tried(path))
    except StartError as error:
        print(f"error: {error.message}")
        return 1
    return 0


def _tried(path: Path) -> str:
    bundle = Bundle.load(path)
    settings = Settings(
        bundle=path, threads=1, max_batch_tokens=BATCH_TOKENS, prefix_cache_bytes=0, calibration=()
    )
    model = LanguageModel(bundle, settings, state_key=bytes(32))
    model.close()
    return bundle.hash


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # the trial says what is wrong
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
