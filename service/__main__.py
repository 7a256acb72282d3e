"""`python -m service [--bundle BUNDLE] …`: flags → Settings → model → uvicorn.

The port opens only when the engine is warm.
"""

import gc
import logging
import signal
import socket
import sys

import uvicorn

from service.bundle import Bundle
from service.errors import StartError
from service.http.app import create_app
from service.language_model import LanguageModel
from service.settings import Settings, read_settings

# How long a thread may keep the interpreter lock from the event loop; Python's default is 5 ms.
SWITCH_SECONDS = 0.001
# Requests make many small objects and few cycles; Python's default looks for them seven times as
# often. Ten times rarer still gained nothing and let memory grow by 2.7 % in ten minutes.
COLLECT_EVERY = (5_000, 10, 10)

log = logging.getLogger("service")


class Server(uvicorn.Server):
    """uvicorn's server, which says when it listens. `failed` if it could not."""

    failed = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except OSError as error:  # another process listened first
            print(f"error: cannot listen: {error.strerror}", file=sys.stderr)
            self.failed = self.should_exit = True
        if self.should_exit or not sockets:
            return
        host, port = sockets[0].getsockname()[:2]
        print(
            f"\ntiedlm listens on http://{host}:{port} (documentation at /docs). Try:\n\n"
            f"  curl -s http://{host}:{port}/next-token -H 'Content-Type: application/json' \\\n"
            """    -d '{"context": "The capital of", "exclude_special": true}'\n""",
            flush=True,
        )


def main(arguments: list[str] | None = None) -> int:
    try:
        sys.setswitchinterval(SWITCH_SECONDS)
        settings = read_settings(sys.argv[1:] if arguments is None else arguments)
        logging.basicConfig(
            level=settings.log_level.upper(),
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
        listener = _listener(settings)
        model = LanguageModel(Bundle.load(settings.bundle), settings)
    except StartError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    log.info(
        "serving %s (%s) on %d threads",
        model.bundle.manifest.name,
        model.bundle.manifest.precision,
        model.threads,
    )
    app = create_app(model)
    _settle()
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
    # uvicorn ends its loop well on these and then raises them again, for whoever handled them.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: None)
    server = Server(config)
    server.run(sockets=[listener])
    return int(server.failed)


def _settle() -> None:
    """What start-up made stays for good: take it out of the garbage collector's sight, which
    otherwise takes a quarter of all the Python of a request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)


def _listener(settings: Settings) -> socket.socket:
    """Bound but not listening yet. Raises StartError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise StartError(f"cannot listen on {where}: {error.strerror}") from None
    return listener


if __name__ == "__main__":
    sys.exit(main())
