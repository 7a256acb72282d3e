"""A container of an image, locked as in production."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.programs.smoke.checks import Failure
from tests.programs.smoke.wire import READY_SECONDS, ask, free_port, status

LOCKED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
LOCKED += ["--security-opt", "no-new-privileges"]
# Of itself podman makes /run and /var/tmp writable in a read-only container.
ENGINES = {"podman": ["--read-only-tmpfs=false"]}
# By which build_and_smoke.sh removes what a killed run leaves.
LABELLED = ["--label", os.environ["SMOKE_LABEL"]] if "SMOKE_LABEL" in os.environ else []
LIMITED = ["--memory", "1g", "--cpus", "2", "--pids-limit", "256"]

PROCESSOR_SECONDS = """
import os
fields = open("/proc/1/stat").read().rpartition(")")[2].split()
print((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
"""


class Container:
    """One container of the service, removed at the end."""

    def __init__(self, engine: str, image: str, *options: str, port: int = 8000) -> None:
        self.engine = engine
        self.name = f"tiedlm-smoke-{uuid.uuid4().hex[:8]}"
        self.port = free_port()
        publish = ["-p", f"127.0.0.1:{self.port}:{port}"]
        self.begun = time.perf_counter()
        locked = [*LOCKED, *ENGINES.get(engine, [])]
        command = ["run", "-d", "--name", self.name, *LABELLED, *publish, *locked, *LIMITED]
        call(engine, *command, *options, image)

    def wait(self) -> None:
        """Until it is ready. Says how long that took, the engine's own work included, and how much
        of a processor the service needed for it, which a busy machine does not change.
        """
        while time.perf_counter() - self.begun < READY_SECONDS:
            if status(self.port, "/health/ready") == 200:
                seconds = time.perf_counter() - self.begun
                worked = float(self.python(PROCESSOR_SECONDS))
                print(f"  ready {seconds:.1f} s after the command; {worked:.2f} s of CPU")
                return
            if self.inspect("{{.State.Running}}") != "true":
                break
            time.sleep(0.05)
        raise Failure(f"it is not ready:\n{self.logs()}")

    def ask(self, route: str, **fields: Any) -> Any:
        return ask(self.port, route, fields)

    def python(self, code: str) -> str:
        return call(self.engine, "exec", self.name, "python", "-c", code)

    def healthy(self) -> bool:
        """The image's own health check, in the container."""
        command = [self.engine, "exec", self.name, "python", "-m", "service.healthcheck"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def inspect(self, template: str) -> str:
        return call(self.engine, "inspect", "--format", template, self.name)

    def logs(self) -> str:
        done = subprocess.run(
            [self.engine, "logs", self.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout

    def terminate(self) -> None:
        call(self.engine, "kill", "--signal", "TERM", self.name)

    def exit_status(self) -> int:
        return int(call(self.engine, "wait", self.name).split()[-1])

    def remove(self) -> None:
        command = [self.engine, "rm", "-f", self.name]
        subprocess.run(command, capture_output=True, check=False)


@contextmanager
def running(engine: str, image: str, *options: str, port: int = 8000) -> Iterator[Container]:
    container = Container(engine, image, *options, port=port)
    try:
        yield container
    except Exception:
        print(container.logs()[-4000:], file=sys.stderr)
        raise
    finally:
        container.remove()


def call(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(command[:3])} …: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()
