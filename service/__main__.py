"""`python -m service [--bundle BUNDLE] …`: flags → Settings → model → server.

The port opens only when the engine is warm.
"""

import gc
import logging
import os
import signal
import sys

from service.runtime.packages import require_packages

# Process 1 of a container hears no SIGTERM that it does not handle, and the imports take a second.
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    if hasattr(signal, "SIGHUP"):  # a reload while the service starts: it reads the bundle anyway
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    require_packages()

from service.bundle import Bundle
from service.errors import StartError
from service.http.app import create_app
from service.http.auth import Authenticator
from service.http.server import Server
from service.language_model import LanguageModel
from service.runtime.address import copies, listen
from service.runtime.console import print_any_text
from service.runtime.logs import configure_logging
from service.settings import read_settings

# How long a thread may keep the interpreter lock from the event loop; Python's default is 5 ms.
SWITCH_SECONDS = 0.0003
# Requests make many small objects and few cycles. Python's default looks for cycles thirty times as
# often, and walks through all requests in line while it does: with 9,000 of them a keystroke waited
# 0.7 s for it, at the 99th percentile, and 0.1 s with this.
COLLECT_EVERY = (20_000, 10, 5)

log = logging.getLogger("service")


def main(arguments: list[str] | None = None) -> int:
    sys.setswitchinterval(SWITCH_SECONDS)
    print_any_text()
    try:
        settings = read_settings(sys.argv[1:] if arguments is None else arguments)
        configure_logging(settings.log_level, settings.log_format)
        authenticator = Authenticator(settings)
        listener = listen(settings.host, settings.port)
        model = LanguageModel(Bundle.load(settings.bundle), settings)
        app = create_app(model, authenticator)
    except StartError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    log.info(
        "serving %s (%s) on %d threads",
        model.info.name,
        model.info.precision,
        model.info.threads,
    )
    if settings.state_key_file is None:
        log.info("no state key file: state handles hold until this process ends")
    del model  # a reload replaces it, and then nothing here may keep it
    _settle()
    server = Server(app, settings, app.state.models)
    # uvicorn ends its loop well on these and then raises them again, for whoever handled them;
    # one that comes before its loop ends it too.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: setattr(server, "should_exit", True))
    server.run(sockets=copies(listener))
    return int(server.failed)


def _settle() -> None:
    """What start-up made stays for good: take it out of the garbage collector's sight, which
    otherwise takes a quarter of all the Python of a request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)


if __name__ == "__main__":
    sys.exit(main())
