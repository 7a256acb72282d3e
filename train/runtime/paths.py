"""Checks that no output replaces an input or another file, before anything is read or written.

Paths are compared after following all links, and by device and inode, so that hard links and mounts
of the same file are found.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from train.checkpoint import FILES
from train.errors import PathError

TITLE = "# Training report"  # the first line of a page
STREAMS = ("/dev/std", "/dev/fd/", "/proc/")  # even if redirected to a regular file
MOVE = "give paths that do not contain each other"


def check_run(
    config: Path, data: Path, out: Path, teacher: Path | None = None, log: Path | None = None
) -> None:
    """Raise PathError if the checkpoint `out` or the TensorBoard folder `log` overlaps an input.

    The configuration may be the `config.json` in `out`, because a run writes that file only once.
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
    """Raise PathError if a file of text is inside `out`, which a link can cause."""
    for file in files:
        if is_inside(file, out):
            raise PathError(f"the text {file} is inside the output {out}; {MOVE}")


def check_page(page: Path, pictures: Path, checkpoints: Iterable[Path], overwrite: bool) -> None:
    """Raise PathError if `page` is a file of a checkpoint, is not a regular file, or would replace
    a file that is not a training report, or if `pictures` exist without their page.
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
    if not page.is_file():  # opening a FIFO waits for a writer, reading a terminal for a user
        return False
    with page.open("rb") as file:
        return file.read(len(TITLE)) == TITLE.encode()


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether `path` is `folder` or in it, after following links."""
    resolved = Path(os.path.realpath(path))
    return any(same(part, folder) for part in (resolved, *resolved.parents))


def check_apart(out: Path, name: str, data: Path, data_name: str) -> None:
    """Raise PathError if the output is the input, is inside it, or contains it."""
    if same(out, data):
        raise PathError(f"{name} {out} is {data_name} itself; {MOVE}")
    if is_inside(out, data):
        raise PathError(f"{name} {out} is inside {data_name} {data}; {MOVE}")
    if is_inside(data, out):
        raise PathError(f"{data_name} {data} is inside {name} {out}; {MOVE}")


def same(one: Path, other: Path) -> bool:
    """Return whether two paths are the same file or folder, or would be once written."""
    try:
        return one.samefile(other)
    except OSError:  # one does not exist yet
        return os.path.realpath(one) == os.path.realpath(other)
