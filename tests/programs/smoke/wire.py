"""HTTP requests to a port of this machine."""

import json
import socket
from http.client import HTTPConnection, HTTPException
from typing import Any

from tests.programs.smoke.checks import Failure

READY_SECONDS = 180.0  # the build machine may be busy


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


def request_json(port: int, route: str, fields: dict[str, Any] | None) -> Any:
    """Return the JSON of a GET, or of a POST with `fields`."""
    connection = HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
    try:
        if fields:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", route, json.dumps(fields), headers)
        else:
            connection.request("GET", route)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise Failure(f"{route}: {response.status} {content[:300]!r}")
    return json.loads(content)
