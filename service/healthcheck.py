"""`python -m service.healthcheck`: exit with 0 if the service of this container is ready, else 1.

This program starts every few seconds. Therefore it imports no package, and of the service only
`runtime.address`.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

from service.runtime.address import LOOPBACK, bare

TIMEOUT_SECONDS = 3.0
USAGE = """usage: python -m service.healthcheck [-h]

Exit with 0 if the service is ready, otherwise with 1.
TIEDLM_HOST and TIEDLM_PORT are the address of the service.
"""


def main(arguments: list[str] | None = None) -> int:
    """Request `/health/ready` and return the exit code; print the reason if it is not 0."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments:
        is_help = arguments in (["-h"], ["--help"])
        print(USAGE, end="", file=sys.stdout if is_help else sys.stderr)
        return 0 if is_help else 2
    host = bare(os.environ.get("TIEDLM_HOST", ""))
    port = int(os.environ.get("TIEDLM_PORT", "8000"))
    connection = HTTPConnection(LOOPBACK.get(host, host), port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
    except (OSError, HTTPException) as error:
        print(f"not ready: {error}", file=sys.stderr)
        return 1
    if response.status != 200:
        print(f"not ready: status {response.status}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
