"""Client threads that repeat requests with known responses and count every deviation."""

import random
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

import httpx

from tests.support.api_client import Json
from tests.support.server_process import http_client

CHANCE = random.Random(7)
TEXT = "the of city river north station government storm album century London was in to"
WORDS = TEXT.split()
REQUESTS: list[tuple[str, Json]] = [
    ("/score", {"text": " ".join(CHANCE.choices(WORDS, k=count)), "top": count % 3})
    for count in (0, 1, 2, 5, 8, 13, 21, 34, 55)
] + [
    ("/next-token", {"context": " ".join(CHANCE.choices(WORDS, k=count)), "top_k": 3})
    for count in (0, 1, 4, 9)
]

Answers = list[bytes]


def reference(port: int) -> Answers:
    """Return the response bodies that every later request must match."""
    with http_client(port) as http:
        responses = [http.post(path, json=body) for path, body in REQUESTS]
    assert {response.status_code for response in responses} == {200}
    return [response.content for response in responses]


class ConcurrentClients:
    """Threads that send requests until the end of the block.

    `answered` counts correct responses, `wrong` other responses with status 200, and `failures`
    everything else by status or exception. With `obedient`, a client stops when the server closes
    its connection, as a load balancer does; otherwise it reconnects.
    """

    def __init__(
        self, port: int, answers: Answers, clients: int = 16, *, obedient: bool = False
    ) -> None:
        self.answered = self.wrong = 0
        self.failures: Counter[str] = Counter()
        self._port = port
        self._answers = answers
        self._obedient = obedient
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(seed,)) for seed in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int, seconds: float = 60.0) -> None:
        """Wait until `more` further correct responses have arrived."""
        wanted, end = self.answered + more, time.monotonic() + seconds
        while self.answered < wanted:
            assert time.monotonic() < end, f"{self.answered} answers, {self.failures}"
            time.sleep(0.01)

    def _work(self, seed: int) -> None:
        chance = random.Random(seed)
        with http_client(self._port) as http:
            while not self._ended.is_set():
                if self._ask(http, chance.randrange(len(REQUESTS))) and self._obedient:
                    return

    def _ask(self, http: httpx.Client, index: int) -> bool:
        """Send one request and return whether the server announced the end of the connection."""
        path, body = REQUESTS[index]
        try:
            response = http.post(path, json=body)
        except httpx.HTTPError as error:
            with self._lock:
                self.failures[type(error).__name__] += 1
            time.sleep(0.02)
            return False
        with self._lock:
            if response.status_code != 200:
                self.failures[str(response.status_code)] += 1
            elif response.content == self._answers[index]:
                self.answered += 1
            else:
                self.wrong += 1
        return bool(response.headers.get("Connection", "").lower() == "close")
