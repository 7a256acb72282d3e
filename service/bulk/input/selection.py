"""Selection of input files: files of folders without those that jobs wrote there."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from service.bulk.input.files import list_files
from service.bulk.resume.job_files import STATE, JobFiles
from service.bulk.resume.ownership import LOCK, PART, first_bytes, is_written_by_job, read_state
from service.errors import JobError
from service.files.outputs import refuse_inputs
from service.files.streams import is_stream


def select_inputs(
    arguments: list[Path], own: JobFiles, also_read: list[Path]
) -> tuple[list[Path], list[str]]:
    """Return the input files, and notes about files that are left out or cannot be read twice.

    `own` are the files of the job, `also_read` files that it reads apart from its inputs. Raises
    OutputError for an output that is an input or holds one, and JobError if no file remains.
    """
    refuse_inputs(own.written(), [*arguments, *also_read])
    files, notes = list_files(arguments)
    arguments_set = set(arguments)
    owner_of = find_owners(path for path in files if path not in arguments_set)
    selected: list[Path] = []
    for path in files:
        if path in arguments_set:
            selected.append(path)
        elif not own.contains(path):
            is_part_of_argument = path.parent in arguments_set and PART.fullmatch(path.name)
            if is_part_of_argument or (reason := owner_of(path)) is None:
                selected.append(path)
            else:
                notes.append(f"{path} is left out: {reason}")
    if not selected:
        raise JobError(
            "the folder contains only files that jobs wrote; name its files to read them, or give "
            "another INPUT"
        )
    refuse_inputs(own.written(), selected)
    streams = filter(is_stream, selected)
    notes += [f"{path} is a stream: a job that is stopped begins again" for path in streams]
    return selected, notes


def find_owners(paths: Iterable[Path]) -> Callable[[Path], str | None]:
    """Return a function that returns why a file belongs to an earlier job, or None if it does not.

    A file belongs to a job if its content is that of an output, or if it is next to one of the
    states among `paths`.
    """
    state_of: dict[Path, Path] = {}
    for path in paths:
        # The first byte is checked first, because a text of such a name may be large.
        if path.suffix == STATE and first_bytes(path).startswith(b"{"):
            state_of |= dict.fromkeys(_files_of_state(path), path)

    def reason(path: Path) -> str | None:
        real = Path(os.path.realpath(path))
        state = next((state_of[p] for p in (real, *real.parents) if p in state_of), None)
        if state is not None:
            return f"it belongs to the unfinished job of {state}"
        try:
            is_output = path.stat().st_size and (
                is_written_by_job(path) or LOCK.fullmatch(first_bytes(path))
            )
        except OSError:
            return None
        return "a job wrote it; name the file to read it" if is_output else None

    return reason


def _files_of_state(path: Path) -> set[Path]:
    """Return the real paths of the files of an unfinished job; the set is empty if `path` is not
    its state.
    """
    state = read_state(path) or {"job": None}
    if not isinstance(state["job"], dict):
        return set()
    errors = state["job"].get("errors")
    try:
        return JobFiles(path.with_suffix(""), Path(errors) if errors else None).kept
    except (TypeError, ValueError):  # `errors` is not a path
        return set()
