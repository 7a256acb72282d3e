"""Why an export wrote no bundle."""


class ExportError(Exception):
    """Its message is one line that says what was wrong and where."""
