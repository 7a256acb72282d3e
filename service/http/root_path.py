"""The prefix under which a proxy publishes the service, such as `/lm` for `/lm/score`.

A proxy may strip the prefix or leave it; both arrive here:

    the client asks   the proxy sends   the boundary sees   the routes see
    /lm/score         /score            /score              /lm/score
    /lm/score         /lm/score         /score              /lm/score

Routes see the whole path, because Starlette takes `root_path` off it again.
"""

from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def strip(self, path: str) -> str:
        """Return the path below the prefix."""
        if self._prefix and (path == self._prefix or path.startswith(self._prefix + "/")):
            return path[len(self._prefix) :] or "/"
        return path

    def restore(self, app: ASGIApp) -> ASGIApp:
        """Return an application that sees paths with the prefix."""
        if not self._prefix:
            return app

        async def prefixed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                scope["root_path"] = self._prefix
                scope["path"] = self._prefix + scope["path"]
            await app(scope, receive, send)

        return prefixed
