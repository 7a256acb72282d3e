"""Files of one job: its outputs, and the files next to them that exist until it is finished.

    OUT  OUT.partial  OUT.scored.partial  OUT.state  OUT.state.new  OUT.lock
    ERRORS  ERRORS.partial  ERRORS.lock

Only files that a job wrote are removed. The state is saved before any other file is written, so
that partial files without a state belong to another program.
"""

import os
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from service.bulk.resume.ownership import (
    PART,
    UNFINISHED_PART,
    is_written_by_job,
    read_state,
    refuse_foreign_folder,
)
from service.errors import OutputError
from service.files.atomic import replace_durably
from service.files.outputs import Output, refuse_existing
from service.files.streams import is_stream

PARTIAL = ".partial"
STATE = ".state"


def with_suffix(path: Path, suffix: str) -> Path:
    """Return the path with `suffix` appended to its name."""
    return path.with_name(path.name + suffix)


class JobFiles:
    """Names of a job's files, and their removal. Other modules read and write the content."""

    def __init__(self, out: Path, errors: Path | None) -> None:
        self.out = out
        self.errors = errors
        self.outputs = [out] if errors is None else [out, errors]
        self._files = [path for path in self.outputs if not is_stream(path)]
        self.scored = with_suffix(out, ".scored")
        # If the output is a stream, the state stands for the partial file of --errors alone.
        self.state = with_suffix(next(iter(self._files), out), STATE)

    @property
    def keeps_state(self) -> bool:
        return bool(self._files)

    @property
    def locks(self) -> list[Path]:
        return [with_suffix(path, ".lock") for path in self._files]

    @property
    def partials(self) -> list[Path]:
        partials = [with_suffix(path, PARTIAL) for path in self._files]
        if self.out in self._files:
            partials.append(with_suffix(self.scored, PARTIAL))
        return partials

    def written(self) -> list[Output]:
        """Return every path that the job writes or removes, with its name in a message."""
        flags = ("--out", "--errors")
        named = [Output(p, f"{f} {p}") for f, p in zip(flags, self.outputs, strict=False)]
        return named + [Output(path, f"{path}, which the job writes,") for path in self._kept()]

    def contains(self, path: Path) -> bool:
        """Return whether a file in a folder of inputs is a file of this job, and not an input."""
        real = Path(os.path.realpath(path))
        places = {real, *real.parents}
        if not places.isdisjoint(self.kept):
            return True
        return not places.isdisjoint(self._real_outputs) and is_written_by_job(path)

    @cached_property
    def kept(self) -> set[Path]:
        """The real paths of the files that exist until the job is finished."""
        return {Path(os.path.realpath(path)) for path in self._kept()}

    @cached_property
    def _real_outputs(self) -> set[Path]:
        return {Path(os.path.realpath(path)) for path in self._files}

    @property
    def is_published(self) -> bool:
        """True if the output has its own name, so that at most `publish` was interrupted."""
        if self.out not in self._files:
            return False
        return os.path.lexists(self.out) and not os.path.lexists(with_suffix(self.out, PARTIAL))

    def publish(self) -> None:
        """Rename the finished partial files to the outputs.

        The output comes first, because `is_published` looks at it. Raises OutputError for an output
        that was created by another program while the job was running.
        """
        for path in self._files:
            partial = with_suffix(path, PARTIAL)
            if os.path.lexists(partial):
                refuse_existing(path, overwrite=False)
                replace_durably(partial, path)

    def remove_outputs(self) -> None:
        """Remove the outputs and the files that an earlier job left next to them.

        Raises OutputError, and removes nothing, if no job wrote one of them.
        """
        for path in [*self._old_outputs(), *self._old_partials()]:
            remove(path)

    def remove_partials(self) -> None:
        """Remove the files that an earlier job left next to its outputs.

        Raises OutputError, and removes nothing, if no job wrote one of them.
        """
        for path in list(self._old_partials()):
            remove(path)

    def tidy(self) -> None:
        """Remove the files that a finished job no longer needs.

        The state is the last, because it proves that the others belong to a job.
        """
        states = (with_suffix(self.state, ".new"), self.state) if self._files else ()
        for path in (*self.partials, *states):
            remove(path)

    def _old_outputs(self) -> Iterator[Path]:
        for path in self._files:
            if path == self.errors:
                refuse_existing(path, overwrite=True)
            refuse_foreign_folder(path, PART, check_content=True)
            yield path

    def _old_partials(self) -> Iterator[Path]:
        """Yield the state last, because it proves that the others belong to a job."""
        if not self._files:
            return
        state = self._old_state()
        if state is None:
            self._refuse_foreign_partials()
            return
        job = state.get("job")
        old_errors = job.get("errors") if isinstance(job, dict) else None
        errors = None if self.errors is None else with_suffix(self.errors, PARTIAL)
        if errors and os.path.lexists(errors) and str(self.errors) != old_errors:
            raise OutputError(f"{errors} exists, but no job of {self.out} wrote it; remove it")
        for path in self.partials:
            refuse_foreign_folder(path, UNFINISHED_PART, check_content=False)
            yield path
        yield with_suffix(self.state, ".new")
        yield self.state

    def _old_state(self) -> dict[str, Any] | None:
        try:
            state = read_state(self.state)
        except FileNotFoundError:
            return None
        if state is None:
            raise OutputError(f"{self.state} is not the state of a job; remove it")
        return state

    def _refuse_foreign_partials(self) -> None:
        """Raise OutputError for partial files without a state."""
        for path in self.partials:
            if os.path.lexists(path):
                raise OutputError(
                    f"{path} exists without {self.state}, so no job wrote it; remove it"
                )

    def _kept(self) -> list[Path]:
        states = [self.state, with_suffix(self.state, ".new")] if self._files else []
        return [*self.partials, *states, *self.locks]


def remove(path: Path) -> None:
    """Remove a file, a link or a folder. A path that does not exist is ignored."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
