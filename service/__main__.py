"""`python -m service [--bundle BUNDLE] …`: flags → Settings → model → server.

The port opens only when the engine is warm.
"""

import gc
import logging
import os
import signal
import sys

from service.runtime.startup import require_packages

# The kernel drops a SIGTERM that process 1 of a container does not handle, and the imports below
# take a second.
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    if hasattr(signal, "SIGHUP"):  # a reload during the start changes nothing
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    require_packages()

from service.bundle import Bundle
from service.errors import StartError
from service.http.app import create_app
from service.http.auth import Authenticator
from service.http.server import Server
from service.language_model import LanguageModel
from service.runtime.address import copies, listen
from service.runtime.logs import configure_logging
from service.runtime.memory import map_large_allocations
from service.runtime.startup import print_any_text
from service.settings import read_settings

# A thread passes the interpreter lock to the event loop after this time. Python's default is 5 ms.
SWITCH_SECONDS = 0.0003
# Requests create many small objects and few reference cycles. Python's default collects thirty
# times as often, and each collection visits all waiting requests. With 9,000 of them, the 99th
# percentile of a keystroke's delay was 0.7 s by default, and is 0.1 s with these thresholds.
GC_THRESHOLDS = (20_000, 10, 5)

log = logging.getLogger("service")


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    sys.setswitchinterval(SWITCH_SECONDS)
    map_large_allocations()
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
        log.info("no --state-key-file: state handles expire when this process ends")
    del model  # a reload must be able to free it
    _freeze_startup_objects()
    server = Server(app, settings, app.state.models)
    # uvicorn shuts down on these signals and then raises them again for the earlier handlers. A
    # signal that arrives before its loop starts must end the loop too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    server.run(sockets=copies(listener))
    return int(server.failed)


def _freeze_startup_objects() -> None:
    """Exclude the objects of the start, which live as long as the process, from garbage collection,
    because visiting them takes a quarter of the Python time of a request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


if __name__ == "__main__":
    sys.exit(main())
