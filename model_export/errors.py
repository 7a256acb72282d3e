"""The errors of an export, with messages for people. None of them leaves a part of a bundle.

ExportError
├── TargetError     the bundle's folder exists, or holds files that no export wrote
├── SourceError     the checkpoint cannot be exported: untied, or its parts do not fit
├── ParityError     the graphs differ from the checkpoint by more than rounding
└── FidelityError   int8 differs from float32 by more than quantisation explains
"""


class ExportError(Exception):
    """An error whose message is one line: what is wrong, where, and what to do."""


class TargetError(ExportError):
    pass


class SourceError(ExportError):
    pass


class ParityError(ExportError):
    pass


class FidelityError(ExportError):
    pass
