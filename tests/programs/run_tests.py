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
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
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


class Run:
    """A running group; its output goes to a file in FOLDER."""

    def __init__(self, group: Group, venv: str) -> None:
        self.group = group
        self.output = FOLDER / f"{group.name}.txt"
        self._started = time.monotonic()
        tracer = ["-m", "coverage", "run"] if group.coverage else []
        command = [f"{venv}{group.venv}/bin/python", *tracer, "-m", "pytest", *group.arguments]
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "COVERAGE_FILE": str(FOLDER / f"coverage.{group.name}")},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        print(f"{group.name}: started", flush=True)

    def progress(self) -> str:
        """Return the group's name and the percentage that pytest printed last, if any."""
        text = self.output.read_text(errors="replace").rpartition("%]")[0]
        return f"{self.group.name} {text[-3:].strip()}%" if text else self.group.name

    def show(self, code: int) -> None:
        seconds = time.monotonic() - self._started
        verdict = "passed" if code == 0 else f"FAILED (exit code {code})"
        print(f"\n==== {self.group.name}: {verdict} after {seconds:.0f} s ====")
        print(self.output.read_text(errors="replace").strip(), "\n", flush=True)


def run_groups(groups: list[Group], venv: str, jobs: int) -> list[str]:
    """Run the groups, `jobs` at a time, and return the names of those that failed."""
    waiting, running, failed = list(groups), list[Run](), list[str]()
    shown = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Run(waiting.pop(0), venv))
            time.sleep(POLL_SECONDS)
            for run in list(running):
                if (code := run.process.poll()) is not None:
                    running.remove(run)
                    run.show(code)
                    failed += [run.group.name] * bool(code)
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                print(", ".join(run.progress() for run in running), flush=True)
    finally:  # on Ctrl-C and SIGTERM
        for run in running:
            run.process.terminate()
            run.process.wait()
    return failed


def report_coverage(venv: str, *, whole: bool) -> bool:
    """Print the total coverage; return False if that of a whole run is below the floor."""
    files = [str(path) for path in sorted(FOLDER.glob("coverage.*"))]
    if not files:
        return True
    coverage = [f"{venv}-dev/bin/python", "-m", "coverage"]
    environment = {**os.environ, "COVERAGE_FILE": str(FOLDER / "coverage")}
    combine = [*coverage, "combine", "-q", "--keep", *files]
    subprocess.run(combine, cwd=ROOT, env=environment, check=True)
    floor = [] if whole else ["--fail-under=0"]
    report = [*coverage, "report", "--format=total", *floor]
    done = subprocess.run(
        report, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    print(f"coverage: {done.stdout.strip()} %", done.stderr.strip(), flush=True)
    return done.returncode == 0


def main(argv: list[str] | None = None) -> int:
    names = [group.name for group in GROUPS]
    parser = argparse.ArgumentParser("python -m tests.programs.run_tests", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=" ".join(names))
    parser.add_argument("--jobs", type=int, default=2, help="groups that run at a time")
    parser.add_argument("--venv", default=".venv", help="start of the environments' names")
    options = parser.parse_args(argv)
    if unknown := set(options.groups) - set(names):
        parser.error(f"unknown groups: {', '.join(sorted(unknown))}; use {' '.join(names)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    chosen = [group for group in GROUPS if group.name in (options.groups or names)]
    present = [g for g in chosen if (ROOT / f"{options.venv}{g.venv}" / "ready").exists()]
    missing = [group.name for group in chosen if group not in present]
    failed = run_groups(present, options.venv, max(1, options.jobs))
    for name in missing:
        print(OPTIONAL.get(name, f"error: {name}: its environment is missing; use make test"))
    failed += [name for name in missing if name not in OPTIONAL]
    if failed:
        print(f"FAILED: {', '.join(failed)}")
        return 1
    return int(not report_coverage(options.venv, whole=not options.groups))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the groups too
    sys.exit(main())
