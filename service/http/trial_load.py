"""`python -m service.http.trial_load BUNDLE BYTES`: a trial load of a bundle in another process.

What a bundle holds can take for ever, take all memory, or end the process that reads it. On a
reload that process must not be the one that serves. This one has limits, which follow from the
bundle's bytes, and prints the hash of a bundle that passed, or one line about one that did not.
"""

import os
import resource
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from service.bundle import FILES, Bundle
from service.errors import BundleError, StartError
from service.language_model import LanguageModel
from service.runtime.logs import configure_logging
from service.settings import Settings

# The limit of time: 60 s, and 10 s for each 100 MB. Measured on an idle core: 2 s for the starter,
# and 1 s for each 100 MB of weights.
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


class Trial:
    """Tries bundles out, one at a time. `stop` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def try_out(self, path: Path) -> str:
        """Load a bundle in another process; return its hash. Raises BundleError with that process's
        reason, or for what it did not survive, or after `stop`.
        """
        size = sum(_bytes(path / name) for name in FILES)
        seconds = SECONDS + SECONDS_A_BYTE * size
        try:
            with self._started(path, size) as process:
                out = _output(process, seconds)
        except subprocess.TimeoutExpired:
            raise BundleError(
                f"bundle {path}: it was not loaded within {seconds:.0f} seconds"
            ) from None
        except OSError as error:
            raise BundleError(f"bundle {path}: it was not tried out: {error.strerror}") from None
        finally:
            self._process = None
        if process.returncode == 0:
            return out.strip()
        if process.returncode == 1 and out.startswith("error: "):
            raise BundleError(out.removeprefix("error: ").strip())
        if self._stopped:
            raise _stopped(path)
        raise BundleError(
            f"bundle {path}: the process that tried it out ended with status {process.returncode}; "
            "it may need more memory than there is"
        )

    def stop(self) -> None:
        """End the process, and start none from now on."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _started(self, path: Path, size: int) -> "subprocess.Popen[str]":
        with self._lock:
            if self._stopped:
                raise _stopped(path)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service.http.trial_load", str(path), str(size)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | ONE_THREAD,
            )
            return self._process


def _output(process: "subprocess.Popen[str]", seconds: float) -> str:
    """Wait for the end, and return what was printed. Raises TimeoutExpired."""
    try:
        return process.communicate(timeout=seconds)[0]
    except BaseException:
        process.kill()
        raise


def _stopped(path: Path) -> BundleError:
    return BundleError(f"bundle {path}: it was not tried out, because the service ends")


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or not arguments[1].isdecimal():
        print("usage: python -m service.http.trial_load BUNDLE BYTES", file=sys.stderr)
        return 2
    path, size = Path(arguments[0]), int(arguments[1])
    _limit(resource.RLIMIT_AS, SPACE_BYTES + SPACE_A_BYTE * size)
    _limit(resource.RLIMIT_CORE, 0)
    with suppress(OSError):  # where Linux lacks memory, it ends this process and not the service
        Path("/proc/self/oom_score_adj").write_text("1000")
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


def _limit(kind: int, most: int) -> None:
    """Set a limit of this process, which may have a lower one already, or none of the kind."""
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(kind, (most, most))


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # the trial says what is wrong
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
