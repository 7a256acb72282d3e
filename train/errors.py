"""What can go wrong between a corpus and a checkpoint, in words for people.

TrainError
├── ConfigError       an unknown key, a wrong type, a value out of range
├── CorpusError       a missing split, a file that is not text, too little of it
├── CheckpointError   missing, damaged, or of another configuration or text
├── PathError         an output that is an input, or would replace another file
└── BusyError         an output that another process writes
"""


class TrainError(Exception):
    """Its message is one line that says what was wrong, where, and what is allowed."""


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
