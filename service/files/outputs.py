"""Checks of output paths: an output is never an input, and never replaces a file unasked.

Two names belong to the same file if device and inode are equal, so that hard links and symbolic
links are recognised. A file that does not exist yet is identified by its resolved path.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from service.errors import OutputError
from service.files.streams import STANDARD_INPUT, STANDARD_OUTPUT, is_stream

FileKey = str | tuple[int, int]  # a resolved path, or device and inode


class Output(NamedTuple):
    """A path that a program writes or removes, and its name in messages."""

    path: Path
    name: str


def input_path(argument: str) -> Path:
    """Return the path of an input: `-` is standard input, `./-` a file of that name."""
    return STANDARD_INPUT if argument == "-" else Path(argument)


def output_path(argument: str) -> Path:
    """Return the path of an output: `-` is standard output, `./-` a file of that name.

    Raises OutputError for a path without a file name, such as `..`.
    """
    if argument == "-":
        return STANDARD_OUTPUT
    path = Path(argument)
    if path.name in ("", ".."):
        raise OutputError(f"{argument or 'an empty path'} names no file; give a file's name")
    return path


def refuse_inputs(outputs: Iterable[Output], inputs: Iterable[Path]) -> None:
    """Raise OutputError for an output that is an input, a folder that holds one, or another output.

    No file is opened, so that a program can call this before it changes anything.
    """
    outputs = list(outputs)
    output_of: dict[FileKey, Output] = {}
    for output in outputs:
        for key in _keys(output.path):
            other = output_of.setdefault(key, output)
            if other is not output:
                raise OutputError(
                    f"{output.name} and {other.name} are the same file; give each its own"
                )
    for output in outputs:
        for folder in _parents(output.path):
            other = next((output_of[key] for key in _keys(folder) if key in output_of), output)
            if other is not output:
                raise OutputError(f"{output.name} is inside {other.name}; give another path")
    folders: dict[Path, Output | None] = {}
    for path in inputs:
        for key in _keys(path):
            if key in output_of:
                raise OutputError(f"{output_of[key].name} is the input {path}; give another output")
        for folder in _parents(path):
            if folder not in folders:
                found = (output_of[key] for key in _keys(folder) if key in output_of)
                folders[folder] = next(found, None)
            if (holder := folders[folder]) is not None:
                raise OutputError(f"{holder.name} is a folder that holds the input {path}")


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise OutputError if `path` exists and `overwrite` is not set, or if it is a folder.

    A stream may always exist.
    """
    if is_stream(path) or not os.path.lexists(path):
        return
    if not overwrite:
        raise OutputError(f"{path} already exists; use --overwrite to replace it")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a file")


def _keys(path: Path) -> Iterator[FileKey]:
    """Yield keys that are equal for two names of one file.

    Devices and sockets have no key, because writing cannot damage them.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        yield os.path.realpath(path)
        return
    mode = status.st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISFIFO(mode):
        yield os.path.realpath(path)
        yield status.st_dev, status.st_ino


def _parents(path: Path) -> Iterable[Path]:
    return Path(os.path.realpath(path)).parents
