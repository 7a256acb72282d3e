"""`make test`: every test, in groups that run side by side, and the coverage of all of them.

    python -m tests.programs.run_tests [GROUP ...] [--jobs 2] [--venv .venv]

A group is a part of the tests with its own process and virtual environment. Two groups run at a
time by default, one for each of two cores. The output of a group is printed as a whole when it
ends; until then a line a minute shows the progress. The exit code is 1 if any group failed, or if
the coverage of a whole run is below the floor in pyproject.toml. Coverage counts what runs in the
tests' own processes, not in programs that they start.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "tests"  # outputs and coverage data of the last run
POLL_SECONDS = 0.5
PROGRESS_SECONDS = 60.0


@dataclass(frozen=True)
class Group:
    """Arguments of pytest, and the suffix of the virtual environment that they need."""

    name: str
    venv: str
    arguments: tuple[str, ...]
    coverage: bool = True


OTHERS = ("service", "train", "playground", "clients", "ray")
# The longest come first, so that the last to end is a short one. `rest` holds every test that no
# other group names. Playwright switches greenlets, which a tracer would confuse.
GROUPS = (
    Group("http", "-test", ("tests/service/http",)),
    Group("train", "-dev", ("tests/train",)),
    Group(
        "service", "-test", ("tests/service", "tests/test_rooms.py", "--ignore=tests/service/http")
    ),
    Group("playground", "-test", ("tests/playground",), coverage=False),
    Group(
        "rest",
        "-dev",
        ("tests", *(f"--ignore=tests/{name}" for name in OTHERS)),
    ),
    Group("clients", "-clients", ("tests/clients",), coverage=False),
    Group("ray", "-ray", ("tests/ray",), coverage=False),
)
OPTIONAL = {"ray": "SKIPPED: tests/ray. make ray-test sets Ray up and runs them"}


@dataclass
class Run:
    """A group's process: its output goes to a file."""

    group: Group
    venv: str
    started: float = field(default_factory=time.monotonic)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def output(self) -> Path:
        return FOLDER / f"{self.group.name}.txt"

    def start(self) -> None:
        python = f"{self.venv}{self.group.venv}/bin/python"
        tracer = ["-m", "coverage", "run"] if self.group.coverage else []
        command = [python, *tracer, "-m", "pytest", *self.group.arguments]
        environment = {**os.environ, "COVERAGE_FILE": str(FOLDER / f"coverage.{self.group.name}")}
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT
            )
        print(f"{self.group.name}: started", flush=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def progress(self) -> str:
        """Return the percentage that pytest printed last, or an empty string."""
        found = self.output.read_text(errors="replace").rpartition("%]")[0]
        return f"{found[-3:].strip()}%" if found else ""


@contextmanager
def stopped_at_the_end(runs: list[Run]) -> Iterator[None]:
    """Terminate the processes that still run when the block is left, as on Ctrl-C."""
    try:
        yield
    finally:
        for run in runs:
            if run.process and run.process.poll() is None:
                run.process.terminate()
                run.process.wait()


def run_groups(groups: list[Group], venv: str, jobs: int) -> dict[str, int]:
    """Run the groups, `jobs` at a time, and return the exit code of each."""
    waiting = [Run(group, venv) for group in groups]
    running: list[Run] = []
    codes: dict[str, int] = {}
    shown = time.monotonic()
    with stopped_at_the_end(running):
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                run.started = time.monotonic()
                run.start()
                running.append(run)
            for run in [run for run in running if run.process and run.process.poll() is not None]:
                running.remove(run)
                codes[run.group.name] = run.process.returncode if run.process else 1
                show(run, codes[run.group.name])
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                print(
                    ", ".join(f"{run.group.name} {run.progress()}" for run in running), flush=True
                )
            time.sleep(POLL_SECONDS)
    return codes


def show(run: Run, code: int) -> None:
    verdict = "passed" if code == 0 else f"FAILED (exit code {code})"
    print(f"\n==== {run.group.name}: {verdict} after {run.seconds:.0f} s ====")
    print(run.output.read_text(errors="replace").strip(), "\n", flush=True)


def report_coverage(venv: str, whole: bool) -> int:
    """Print the total coverage; return 1 if a whole run is below the floor."""
    python, data = f"{venv}-dev/bin/python", str(FOLDER / "coverage")
    environment = {**os.environ, "COVERAGE_FILE": data}
    files = [str(path) for path in sorted(FOLDER.glob("coverage.*"))]
    combine = [python, "-m", "coverage", "combine", "-q", "--keep", *files]
    report = [python, "-m", "coverage", "report", *([] if whole else ["--fail-under=0"])]
    for command in (combine, [*report, "--format=total"] if not whole else report):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            print(done.stdout)
            return 1
    print("coverage:", done.stdout.strip().rpartition("\n")[2].split()[-1], flush=True)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.programs.run_tests", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=" ".join(g.name for g in GROUPS))
    parser.add_argument("--jobs", type=int, default=2, help="groups that run at a time")
    parser.add_argument("--venv", default=".venv", help="what the environments' names begin with")
    options = parser.parse_args()
    if unknown := set(options.groups) - {group.name for group in GROUPS}:
        parser.error(f"unknown groups: {', '.join(sorted(unknown))}")
    chosen = [
        group for group in GROUPS if group.name in (options.groups or [g.name for g in GROUPS])
    ]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    present = [g for g in chosen if (ROOT / f"{options.venv}{g.venv}" / "ready").exists()]
    notes = [
        OPTIONAL.get(group.name, f"error: {options.venv}{group.venv} is missing: make test")
        for group in chosen
        if group not in present
    ]
    codes = run_groups(present, options.venv, max(1, options.jobs))
    failed = [name for name, code in codes.items() if code]
    print(*notes, sep="\n")
    below = report_coverage(options.venv, whole=not options.groups) if not failed else 0
    if failed:
        print(f"FAILED: {', '.join(failed)}")
    return int(bool(failed or below or any(note.startswith("error") for note in notes)))


if __name__ == "__main__":
    sys.exit(main())
