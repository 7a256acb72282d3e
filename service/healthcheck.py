"""`python -m service.healthcheck`: 0 when the service of this container is ready, else 1 and why.

Imports no package and of the service `address` alone, because it starts again every few seconds.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

from service.runtime.address import LOOPBACK, bare

SECONDS = 3.0


USAGE = """usage: python -m service.healthcheck [-h]

Exit with 0 when the service is ready, and with 1 when it is not.
TIEDLM_HOST and TIEDLM_PORT say where it listens.
"""


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments:
        is_help = arguments in (["-h"], ["--help"])
        print(USAGE, end="", file=sys.stdout if is_help else sys.stderr)
        return 0 if is_help else 2
    host = bare(os.environ.get("TIEDLM_HOST", ""))
    port = int(os.environ.get("TIEDLM_PORT", "8000"))
    connection = HTTPConnection(LOOPBACK.get(host, host), port, timeout=SECONDS)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
    except (OSError, HTTPException) as error:
        print(f"not ready: {error}", file=sys.stderr)
        return 1
    if answer.status != 200:
        print(f"not ready: status {answer.status}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
