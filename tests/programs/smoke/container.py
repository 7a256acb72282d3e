"""A container of an image, locked down as in production."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.programs.smoke.checks import Failure, run_command
from tests.programs.smoke.wire import READY_SECONDS, free_port, request_json, status

LOCKDOWN_OPTIONS = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
LOCKDOWN_OPTIONS += ["--security-opt", "no-new-privileges"]
# By default podman makes /run and /var/tmp writable in a read-only container.
ENGINE_OPTIONS = {"podman": ["--read-only-tmpfs=false"]}
# build_and_smoke.sh removes the containers of a killed run by this label.
LABEL_OPTIONS = ["--label", os.environ["SMOKE_LABEL"]] if "SMOKE_LABEL" in os.environ else []
LIMIT_OPTIONS = ["--memory", "1g", "--cpus", "2", "--pids-limit", "256"]

CPU_SECONDS_PROGRAM = """
import os
fields = open("/proc/1/stat").read().rpartition(")")[2].split()
print((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
"""


class Container:
    """A container of the service. Call `remove` at the end."""

    def __init__(self, engine: str, image: str, *options: str, port: int = 8000) -> None:
        self.engine = engine
        self.name = f"tiedlm-smoke-{uuid.uuid4().hex[:8]}"
        self.port = free_port()
        publish = ["-p", f"127.0.0.1:{self.port}:{port}"]
        self.start = time.perf_counter()
        lockdown = [*LOCKDOWN_OPTIONS, *ENGINE_OPTIONS.get(engine, [])]
        command = [
            "run",
            "-d",
            "--name",
            self.name,
            *LABEL_OPTIONS,
            *publish,
            *lockdown,
            *LIMIT_OPTIONS,
        ]
        run_command(engine, *command, *options, image)

    def wait(self) -> None:
        """Wait until the service is ready, and print how long that took.

        The wall time includes the engine's work. The CPU time of the service does not depend on
        the load of the machine.
        """
        while time.perf_counter() - self.start < READY_SECONDS:
            if status(self.port, "/health/ready") == 200:
                seconds = time.perf_counter() - self.start
                cpu_seconds = float(self.python(CPU_SECONDS_PROGRAM))
                print(f"  ready {seconds:.1f} s after the command; {cpu_seconds:.2f} s of CPU")
                return
            if self.inspect("{{.State.Running}}") != "true":
                break
            time.sleep(0.05)
        raise Failure(f"the service is not ready:\n{self.logs()}")

    def request(self, route: str, **fields: Any) -> Any:
        return request_json(self.port, route, fields)

    def python(self, code: str) -> str:
        return run_command(self.engine, "exec", self.name, "python", "-c", code)

    def healthy(self) -> bool:
        """Run the image's health check in the container and return whether it passes."""
        command = [self.engine, "exec", self.name, "python", "-m", "service.healthcheck"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def inspect(self, template: str) -> str:
        return run_command(self.engine, "inspect", "--format", template, self.name)

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
        run_command(self.engine, "kill", "--signal", "TERM", self.name)

    def exit_status(self) -> int:
        return int(run_command(self.engine, "wait", self.name).split()[-1])

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
