"""The errors between a corpus and a checkpoint, with messages for people.

TrainError
├── ConfigError       an unknown key, a wrong type, a value out of range
├── CorpusError       a missing split, a file that is not text, too little text
├── CheckpointError   missing, damaged, or of another configuration or text
├── PathError         an output that is an input, or would replace another file
└── BusyError         an output that another process writes
"""

from pydantic import ValidationError
from pydantic_core import ErrorDetails


class TrainError(Exception):
    """An error whose message is one line: what is wrong, where, and what to do."""


class ConfigError(TrainError):
    pass


class CorpusError(TrainError):
    pass


class CheckpointError(TrainError):
    pass


class PathError(TrainError):
    pass


class BusyError(TrainError):
    pass


def describe_errors(error: ValidationError) -> str:
    """Return every problem that pydantic found in a document, with its dotted key, in one sentence.

    Example: `train.epochs: Input should be greater than 0; train.epoch: unknown key`.
    """
    return "; ".join(map(_describe, error.errors()))


def _describe(problem: ErrorDetails) -> str:
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        message = "unknown key"
    else:
        message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message
