"""Clients that keep a service busy while it shuts down."""

import json
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException

from tests.programs.smoke.wire import READY_SECONDS, status

CLIENTS = 8
TEXTS = [f"The city number {n} was built on the river." for n in range(4)]


class Load:
    """Clients that send requests without pause, each over its own connection.

    They stop when the service is no longer ready, as a load balancer would.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.results: Counter[str] = Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(CLIENTS)]
        self._threads.append(threading.Thread(target=self._watch))

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            if status(self.port, "/health/ready") != 200:
                time.sleep(1.0)  # a load balancer notices with a delay
                self._stop.set()
            time.sleep(0.05)

    def _send(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=READY_SECONDS)
        headers = {"Content-Type": "application/json"}
        while not self._stop.is_set():
            try:
                connection.request("POST", "/score", json.dumps({"texts": TEXTS}), headers)
                response = connection.getresponse()
                response.read()
                self.results[str(response.status)] += 1
            except (OSError, HTTPException) as error:
                self.results[f"lost: {error!r}"] += 1
                connection.close()
        connection.close()
