"""Clients that keep a service busy while it is told to stop."""

import json
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException

from tests.programs.smoke.wire import READY_SECONDS, status

CLIENTS = 8
TEXTS = [f"The city number {n} was built on the river." for n in range(4)]


class Load:
    """Clients that ask without a pause, each over a connection of its own, until one of them sees
    that the service is not ready any more: then, as behind a load balancer, no new request comes.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.results: Counter[str] = Counter()
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        self._threads.append(threading.Thread(target=self._watch))

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _watch(self) -> None:
        while not self._ending.is_set():
            if status(self.port, "/health/ready") != 200:
                time.sleep(1.0)  # a load balancer takes a while to see it
                self._ending.set()
            time.sleep(0.05)

    def _ask(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=READY_SECONDS)
        headers = {"Content-Type": "application/json"}
        while not self._ending.is_set():
            try:
                connection.request("POST", "/score", json.dumps({"texts": TEXTS}), headers)
                answer = connection.getresponse()
                answer.read()
                self.results[str(answer.status)] += 1
            except (OSError, HTTPException) as error:
                self.results[f"lost: {error!r}"] += 1
                connection.close()
        connection.close()
