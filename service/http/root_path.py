"""The prefix under which a proxy publishes the service, such as `/lm` for `/lm/score`.

A proxy may strip the prefix or keep it; both are served:

    client requests   proxy sends   middleware sees   routes see
    /lm/score         /score        /score            /lm/score
    /lm/score         /lm/score     /score            /lm/score

The middleware decides by the path which requests need a key, so it must see the path without a
prefix. Routes see the whole path, because Starlette removes `root_path` from it.
"""

from starlette.types import ASGIApp, Receive, Scope, Send


def strip_root(scope: Scope, prefix: str) -> Scope:
    """Return a copy of the scope whose path has no prefix and whose `root_path` is the prefix.

    The default prefix is the server's own `root_path`, which Ray Serve sets.
    """
    root: str = prefix or scope.get("root_path", "").rstrip("/")
    path: str = scope["path"]
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :] or "/"
    return {**scope, "root_path": root, "path": path}


def restore_root(app: ASGIApp) -> ASGIApp:
    """Return an application that sees paths with their prefix."""

    async def prefixed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["path"] = scope["root_path"] + scope["path"]
        await app(scope, receive, send)

    return prefixed
