"""Outputs that would spoil an input, refused before anything is read or written.

Paths are compared as what they are, not as they are spelt: after all links, and by device and
inode, so that hard links and mounts count.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from train.checkpoint import FILES
from train.errors import PathError

TITLE = "# Training report"  # the first line of a page
STREAMS = ("/dev/std", "/dev/fd/", "/proc/")  # also where a stream is led to a regular file
MOVE = "give paths apart from each other"


def check_run(
    config: Path, data: Path, out: Path, teacher: Path | None = None, log: Path | None = None
) -> None:
    """Raises PathError for a run whose checkpoint `out` or TensorBoard `log` is not apart from its
    inputs. A checkpoint's own `config.json` may be the configuration: it is written once.
    """
    check_apart(out, "--out", data, "--data")
    if is_inside(config, out) and not same(config, out / "config.json"):
        raise PathError(f"the configuration {config} is inside --out {out}; {MOVE}")
    if teacher is not None and same(teacher, out):
        raise PathError(f"--out {out} is the folder of loss.teacher; {MOVE}")
    if log is not None:
        check_apart(log, "the TensorBoard folder", data, "--data")
        if same(log, config):
            raise PathError(f"the TensorBoard folder {log} is the configuration; {MOVE}")


def check_sources(files: Iterable[Path], out: Path) -> None:
    """Raises PathError for a file of text that is, by a link, inside `out`."""
    for file in files:
        if is_inside(file, out):
            raise PathError(f"the text {file} is inside the output {out}; {MOVE}")


def check_page(page: Path, pictures: Path, checkpoints: Iterable[Path], overwrite: bool) -> None:
    """Raises PathError for a page that is a file of a checkpoint, or that would replace a file
    which is not a training report, or pictures that no page of this name has.
    """
    for folder in checkpoints:
        if any(same(page, folder / name) for name in FILES):
            raise PathError(
                f"--out {page} is a file of the checkpoint {folder}; give another --out"
            )
        if same(pictures, folder):
            raise PathError(
                f"the pictures of --out {page} go to the folder {pictures}, which is a checkpoint; "
                "give another --out"
            )
    if page.is_dir():
        raise PathError(f"--out {page} is a folder; give the name of a page in it")
    if str(page).startswith(STREAMS) or (page.exists() and not page.is_file()):
        raise PathError(f"--out {page} is not a regular file; give the name of a page to write")
    if not page.exists() and not overwrite:
        for picture in pictures.glob("perplexity_over_*.png"):
            raise PathError(
                f"the picture {picture} already exists; give another --out, or use --overwrite to "
                "replace it"
            )
    if page.exists() and not overwrite and not _is_report(page):
        raise PathError(
            f"--out {page} exists and is not a training report; give another --out, or "
            "--overwrite to replace it"
        )


def _is_report(page: Path) -> bool:
    if not page.is_file():  # to open a FIFO waits for its writer, to read a terminal for its user
        return False
    with page.open("rb") as file:
        return file.read(len(TITLE)) == TITLE.encode()


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether `path` is `folder` or in it, under any name of theirs."""
    resolved = Path(os.path.realpath(path))
    return any(same(part, folder) for part in (resolved, *resolved.parents))


def check_apart(out: Path, name: str, data: Path, data_name: str) -> None:
    """Raises PathError for an output that is an input, or in it, or around it."""
    if same(out, data):
        raise PathError(f"{name} {out} is {data_name} itself; {MOVE}")
    if is_inside(out, data):
        raise PathError(f"{name} {out} is inside {data_name} {data}; {MOVE}")
    if is_inside(data, out):
        raise PathError(f"{data_name} {data} is inside {name} {out}; {MOVE}")


def same(one: Path, other: Path) -> bool:
    """Return whether two paths are one file or folder, or would be."""
    try:
        return one.samefile(other)
    except OSError:  # one is not there yet
        return os.path.realpath(one) == os.path.realpath(other)
