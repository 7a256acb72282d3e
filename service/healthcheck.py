"""`python -m service.healthcheck`: 0 when the service of this container is ready, else 1 and why.

Knows the standard library alone, for it starts anew every few seconds.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

# What to ask instead of an address that means all of them.
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
SECONDS = 3.0


def main() -> int:
    host = os.environ.get("TIEDLM_HOST", "").strip("[] ")
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
