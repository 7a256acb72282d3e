"""One request to a port of this machine."""

import json
import socket
from http.client import HTTPConnection, HTTPException
from typing import Any

from tests.programs.smoke.checks import Failure

READY_SECONDS = 180.0  # the machine that builds may be busy


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def status(port: int, route: str) -> int | None:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", route)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def ask(port: int, route: str, fields: dict[str, Any] | None) -> Any:
    """The JSON that a route answers; with fields it is a POST."""
    connection = HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
    try:
        if fields:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", route, json.dumps(fields), headers)
        else:
            connection.request("GET", route)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise Failure(f"{route}: {answer.status} {content[:300]!r}")
    return json.loads(content)
