"""Log lines as text for people, or as one JSON object each for machines.

No line ever holds a text that a client sent.
"""

import logging
import sys
from typing import Literal

from pythonjsonlogger.orjson import OrjsonFormatter

FIELDS = ["asctime", "levelname", "name", "message"]
NAMES = {"asctime": "time", "levelname": "level", "name": "logger"}


def configure_logging(level: str, kind: Literal["text", "json"] | None) -> None:
    """Log to standard error from `level` on. By default, write text on a terminal and JSON
    elsewhere.
    """
    handler = logging.StreamHandler()
    if kind == "text" or (kind is None and sys.stderr.isatty()):
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    else:
        handler.setFormatter(
            OrjsonFormatter(FIELDS, rename_fields=NAMES, datefmt="%Y-%m-%dT%H:%M:%S%z")
        )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
