"""`python -m service.http.trial_load BUNDLE BYTES`: load a bundle as the service does.

A broken bundle can take unlimited time or memory, or end the process that loads it. A reload
therefore loads the bundle in this process first, and not in the one that serves. The limits of this
process follow from the bundle's bytes. It prints the hash of a valid bundle, or one line with the
error of an invalid one.
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

# 60 s and 10 s for each 100 MB. Measured on an idle core: 2 s for the starter bundle, and 1 s for
# each 100 MB of weights.
MIN_SECONDS, SECONDS_PER_BYTE = 60.0, 1e-7
# Of address space. Libraries and threads reserve 2 GiB. Weights are held twice: as read and as laid
# out by onnxruntime.
MIN_ADDRESS_BYTES, ADDRESS_BYTES_PER_BYTE = 4 << 30, 8
# Libraries reserve address space for each thread, and start one per core by default.
SINGLE_THREAD = {
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
# Small, because the trial only shows that the graphs run.
BATCH_TOKENS = 64


class TrialLoader:
    """Loads bundles in another process, one at a time. `stop` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def try_load(self, path: Path) -> str:
        """Load a bundle in another process and return its hash.

        Raise BundleError with that process's error, if it crashed, or after `stop`.
        """
        size = sum(_file_bytes(path / name) for name in FILES)
        seconds = MIN_SECONDS + SECONDS_PER_BYTE * size
        try:
            with self._start(path, size) as process:
                output = _output(process, seconds)
        except subprocess.TimeoutExpired:
            raise BundleError(
                f"bundle {path}: it was not loaded within {seconds:.0f} seconds"
            ) from None
        except OSError as error:
            raise BundleError(
                f"bundle {path}: its trial load did not start: {error.strerror}"
            ) from None
        finally:
            self._process = None
        if process.returncode == 0:
            return output.strip()
        if process.returncode == 1 and output.startswith("error: "):
            raise BundleError(output.removeprefix("error: ").strip())
        if self._stopped:
            raise _stopped_error(path)
        raise BundleError(
            f"bundle {path}: its trial load ended with status {process.returncode}; "
            "it may need more memory than is available"
        )

    def stop(self) -> None:
        """End the current trial load, and reject later ones."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _start(self, path: Path, size: int) -> "subprocess.Popen[str]":
        with self._lock:
            if self._stopped:
                raise _stopped_error(path)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service.http.trial_load", str(path), str(size)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | SINGLE_THREAD,
            )
            return self._process


def _output(process: "subprocess.Popen[str]", seconds: float) -> str:
    """Wait for the end of the process, and return its output. Raise TimeoutExpired."""
    try:
        return process.communicate(timeout=seconds)[0]
    except BaseException:
        process.kill()
        raise


def _stopped_error(path: Path) -> BundleError:
    return BundleError(f"bundle {path}: it was not loaded, because the service is shutting down")


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or not arguments[1].isdecimal():
        print("usage: python -m service.http.trial_load BUNDLE BYTES", file=sys.stderr)
        return 2
    path, size = Path(arguments[0]), int(arguments[1])
    _lower_limit(resource.RLIMIT_AS, MIN_ADDRESS_BYTES + ADDRESS_BYTES_PER_BYTE * size)
    _lower_limit(resource.RLIMIT_CORE, 0)
    with suppress(OSError):  # if memory runs out, Linux ends this process and not the service
        Path("/proc/self/oom_score_adj").write_text("1000")
    configure_logging("error", "text")
    try:
        print(_load(path))
    except StartError as error:
        print(f"error: {error.message}")
        return 1
    return 0


def _load(path: Path) -> str:
    """Load a bundle with its engine, and return its hash. Raise StartError."""
    bundle = Bundle.load(path)
    settings = Settings(
        bundle=path, threads=1, max_batch_tokens=BATCH_TOKENS, prefix_cache_bytes=0, calibration=()
    )
    model = LanguageModel(bundle, settings, state_key=bytes(32))
    model.close()
    return bundle.hash


def _lower_limit(kind: int, value: int) -> None:
    """Set a limit of this process, unless it has a lower one or the system lacks the kind."""
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(kind, (value, value))


def _file_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # the trial load reports the error
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
