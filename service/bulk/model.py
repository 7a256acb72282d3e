"""The language model of a job: without the limits that protect a server from its callers."""

from pathlib import Path

from service.bundle import Bundle
from service.language_model import LanguageModel
from service.settings import read_settings

NO_LIMIT = str(1 << 60)
LIMITS = (
    "max-queue-tokens",
    "max-bulk-wait",
    "max-interactive-wait",
    "max-request-tokens",
    "request-timeout",
)


def bundle_of(path: Path | None) -> Bundle:
    """Raises StartError."""
    return Bundle.load(read_settings([] if path is None else ["--bundle", str(path)]).bundle)


def load(bundle: Path | None, threads: int | None) -> LanguageModel:
    """Raises StartError. What is None is taken from the environment, as by the service."""
    arguments = [f"--{limit}={NO_LIMIT}" for limit in LIMITS]
    arguments += ["--prefix-cache-bytes", "0", "--calibration="]
    arguments += [] if bundle is None else ["--bundle", str(bundle)]
    arguments += [] if threads is None else ["--threads", str(threads)]
    settings = read_settings(arguments)
    return LanguageModel(Bundle.load(settings.bundle), settings)
