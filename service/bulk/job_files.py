"""The files of one job: its outputs, and what it keeps next to them until it is done.

    OUT  OUT.partial  OUT.scored.partial  OUT.state  OUT.state.new  OUT.lock
    ERRORS  ERRORS.partial  ERRORS.lock

Only what a job wrote is ever removed. The state is saved before all else, so that partial files
without a state are not a job's. In a folder of parts, names and content say whose they are.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from service.errors import JobError, OutputError
from service.files import compression
from service.files.outputs import Output, is_stream, refuse_existing

PARTIAL = ".partial"
ATTEMPT = ".attempt-"
STATE = ".state"
LOCK = re.compile(rb"tiedlm job \d+\n")  # the number of the process that holds it, or did
PART = re.compile(r"part-\d{5,}(\..+)?")
UNFINISHED_PART = re.compile(rf"\.?part-\d{{5,}}(\..+)?|{re.escape(ATTEMPT)}.*")
FIRST_BYTES = 1 << 12
HEAD_BYTES = 1 << 20
# How the outputs begin: a row or a problem, a table's header, a line of KenLM's, a calibration.
WRITTEN = re.compile(
    rb'\n*(?:\{"input":"(?:[^"\\]|\\.)*","line":\d+,"'
    rb"|input\tline\t|sentence_id\ttoken_id\ttoken\tsurprisal\n"
    rb"|(?:[^\t\n]+=\d+ \d+ \S+\t)+Total: \S+ OOV: \d+\n|Perplexity including OOVs:\t"
    rb'|\{\n "format_version": 1,\n "bundle": )'
)


# Whether a file may be one where its first bytes do not decide it.
PERHAPS_WRITTEN = re.compile(rb'\n*(?:\{"input":"|[^\t\n]+=\d+ \d+ \S+\t|\n*\Z)')


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


class JobFiles:
    """Names, and what a job wrote under them. The job itself reads and writes the content."""

    def __init__(self, out: Path, errors: Path | None) -> None:
        self.out = out
        self.errors = errors
        self.outputs = [out] if errors is None else [out, errors]
        self._files = [path for path in self.outputs if not is_stream(path)]
        self.scored = beside(out, ".scored")
        # Where the output is a stream, the state vouches for the partial file of --errors alone.
        self.state = beside(next(iter(self._files), out), ".state")

    @property
    def keeps_state(self) -> bool:
        return bool(self._files)

    @property
    def locks(self) -> list[Path]:
        return [beside(path, ".lock") for path in self._files]

    @property
    def partials(self) -> list[Path]:
        found = [beside(path, PARTIAL) for path in self._files]
        return [*found, beside(self.scored, PARTIAL)] if self.out in self._files else found

    def written(self) -> list[Output]:
        """Return every path that the job writes or removes, with its name in a message."""
        flags = ("--out", "--errors")
        named = [Output(p, f"{f} {p}") for f, p in zip(flags, self.outputs, strict=False)]
        return named + [Output(path, f"{path}, which the job writes,") for path in self._kept()]

    def holds(self, path: Path) -> bool:
        """Return whether a job wrote this file, which is in a folder of inputs, so that it is no
        input.
        """
        real = Path(os.path.realpath(path))
        places = {real, *real.parents}
        if not places.isdisjoint(self.kept):
            return True
        return not places.isdisjoint(self._real_outputs) and written_by_a_job(path)

    @cached_property
    def kept(self) -> set[Path]:
        """The real paths of what a job keeps until it is done."""
        return {Path(os.path.realpath(path)) for path in self._kept()}

    @cached_property
    def _real_outputs(self) -> set[Path]:
        return {Path(os.path.realpath(path)) for path in self._files}

    def begin_again(self) -> None:
        """Remove the outputs and what an earlier job left next to them: all, or nothing where
        OutputError is raised, because a file is there that no job wrote.
        """
        for path in [*self._old_outputs(), *self._old_partials()]:
            remove(path)

    def forget(self) -> None:
        """Remove what an earlier job left next to its outputs. Raises OutputError likewise."""
        for path in list(self._old_partials()):
            remove(path)

    def tidy(self) -> None:
        """Remove what a finished job needs no longer; the state last, because it says whose the
        rest is.
        """
        states = (beside(self.state, ".new"), self.state) if self._files else ()
        for path in (*self.partials, *states):
            remove(path)

    def refuse_strangers(self) -> None:
        """Raise OutputError for partial files where there is no state."""
        for path in self.partials:
            if os.path.lexists(path):
                raise OutputError(
                    f"{path} is there, but no {self.state} says that a job wrote it; remove it"
                )

    def _old_outputs(self) -> Iterator[Path]:
        for path in self._files:
            if path == self.errors:
                refuse_existing(path, overwrite=True)
            _refuse_foreign(path, PART, by_content=True)
            yield path

    def _old_partials(self) -> Iterator[Path]:
        """Yield the state last, because it says whose the rest is."""
        if not self._files:
            return
        state = self._old_state()
        if state is None:
            self.refuse_strangers()
            return
        job = state.get("job")
        known = job.get("errors") if isinstance(job, dict) else None
        errors = None if self.errors is None else beside(self.errors, PARTIAL)
        if errors and os.path.lexists(errors) and str(self.errors) != known:
            raise OutputError(f"{errors} is there, but no job of {self.out} wrote it; remove it")
        for path in self.partials:
            _refuse_foreign(path, UNFINISHED_PART, by_content=False)
            yield path
        yield beside(self.state, ".new")
        yield self.state

    def _old_state(self) -> dict[str, Any] | None:
        try:
            found = _read_state(self.state)
        except FileNotFoundError:
            return None
        if found is None:
            raise OutputError(f"{self.state} is not the state of a job; remove it")
        return found

    def _kept(self) -> list[Path]:
        states = [self.state, beside(self.state, ".new")] if self._files else []
        return [*self.partials, *states, *self.locks]


def _read_state(path: Path) -> dict[str, Any] | None:
    """Return None for what is not the state of a job. Raises FileNotFoundError."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and {"version", "job"} <= found.keys() else None


def written_by_a_job(path: Path) -> bool:
    """Return whether a file's content is that of an output. Nothing at all may be one as well."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            with path.open("rb") as raw:  # pyarrow takes a name with a colon for a URI
                names = pyarrow.parquet.read_schema(raw).names
            return {"input", "line", "token_count"} <= set(names)
        with path.open("rb") as raw, compression.reader(raw, path) as file:
            head = file.read(FIRST_BYTES)
            if WRITTEN.match(head) is None and PERHAPS_WRITTEN.match(head):
                head += file.read(HEAD_BYTES)
    except (ImportError, JobError, OSError, ValueError):
        return False
    except _damage(path):
        return False
    return not head or WRITTEN.match(head) is not None


def earlier_jobs(paths: Iterable[Path]) -> Callable[[Path], str | None]:
    """Return what says of a file in a folder of inputs why it is an earlier job's and no document:
    a job wrote it, or it stands next to a state among `paths`. None: it is a document.
    """
    kept: dict[Path, Path] = {}
    for path in paths:
        # Looked at before it is read, because a text of that name may be large.
        if path.suffix == STATE and _first_bytes(path).startswith(b"{"):
            kept |= dict.fromkeys(_kept_by(path), path)

    def reason(path: Path) -> str | None:
        real = Path(os.path.realpath(path))
        state = next((kept[p] for p in (real, *real.parents) if p in kept), None)
        if state is not None:
            return f"it belongs to the unfinished job of {state}"
        try:
            written = path.stat().st_size and (
                written_by_a_job(path) or LOCK.fullmatch(_first_bytes(path))
            )
        except OSError:
            return None
        return "a job wrote it; name the file to read it" if written else None

    return reason


def _kept_by(state: Path) -> set[Path]:
    """Return the real paths of what the job of this state keeps; none where it is no job's."""
    found = _read_state(state) or {"job": None}
    if not isinstance(found["job"], dict):
        return set()
    errors = found["job"].get("errors")
    try:
        return JobFiles(state.with_suffix(""), Path(errors) if errors else None).kept
    except (TypeError, ValueError):  # errors that are no path
        return set()


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _damage(path: Path) -> tuple[type[Exception], ...]:
    try:
        return compression.damage(path)
    except JobError:
        return ()


def _refuse_foreign(path: Path, name: re.Pattern[str], *, by_content: bool) -> None:
    """Raise OutputError for a folder with anything in it that no job wrote."""
    if path.is_symlink() or not path.is_dir():
        return
    for file in path.iterdir():
        ours = name.fullmatch(file.name) is not None and not file.is_symlink()
        if not ours or (by_content and not (file.is_file() and written_by_a_job(file))):
            raise OutputError(
                f"{path} is a folder with {file.name} in it, which no job wrote; nothing is "
                "removed. Give another OUTPUT, or remove it yourself"
            )


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
