"""The compared servers, each a process: the service, bare FastAPI, FastAPI + torch eager."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Server:
    process: subprocess.Popen[str]
    port: int

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory_bytes(self) -> dict[str, int]:
        """Return resident bytes, current and peak."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        sizes = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+)", status))
        return {"now": int(sizes["VmRSS"]) * 1024, "peak": int(sizes["VmHWM"]) * 1024}


@contextmanager
def serving(*arguments: str, tree: Path | None = None) -> Iterator[Server]:
    """Run `python -m ARGUMENTS`, which prints its address when it listens; stop it at the end.

    `tree` is the checkout whose code runs; without it that of this process.
    """
    environment = os.environ if tree is None else {**os.environ, "PYTHONPATH": str(tree)}
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                yield Server(process, int(found[1]))
                return
        raise SystemExit(f"{' '.join(arguments)} did not start")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def service(bundle: Path, *arguments: str) -> AbstractContextManager[Server]:
    fixed = ("--bundle", str(bundle), "--port", "0", "--log-level", "warning")
    return serving("service", *fixed, *arguments)
