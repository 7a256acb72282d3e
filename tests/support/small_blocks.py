"""`python -m service.bulk` with small blocks, so that a small corpus has many of them.

With KILL="COMMITS SECONDS" in the environment, the process kills itself SECONDS after its
COMMITSth saved state.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from service.bulk import document
from service.bulk.__main__ import main
from service.bulk.output import parquet_writer
from service.bulk.resume.state import JobState

BLOCK_DOCUMENTS = 16
SIZES = (
    (document, "BLOCK_DOCUMENTS", BLOCK_DOCUMENTS),
    (parquet_writer, "BLOCKS_PER_PART", 3),
)


def killed_after(commits: int, seconds: float) -> None:
    save = JobState.save

    def counting(state: JobState, path: Path) -> None:
        nonlocal commits
        save(state, path)
        commits -= 1
        if commits == 0:
            threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()

    JobState.save = counting  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    if "KILL" in os.environ:
        commits, seconds = os.environ["KILL"].split()
        killed_after(int(commits), float(seconds))
    for module, name, value in SIZES:
        setattr(module, name, value)
    sys.exit(main())
