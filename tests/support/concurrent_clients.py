"""Clients in threads that ask what is known over and over, and write down whatever is not right."""

import random
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

import httpx

from tests.support.server_process import asking
from tests.support.wire import Json

CHANCE = random.Random(7)
TEXT = "the of city river north station government storm album century London was in to"
WORDS = TEXT.split()
QUESTIONS: list[tuple[str, Json]] = [
    ("/score", {"text": " ".join(CHANCE.choices(WORDS, k=count)), "top": count % 3})
    for count in (0, 1, 2, 5, 8, 13, 21, 34, 55)
] + [
    ("/next-token", {"context": " ".join(CHANCE.choices(WORDS, k=count)), "top_k": 3})
    for count in (0, 1, 4, 9)
]

Answers = list[bytes]


def reference(port: int) -> Answers:
    """The answers that must come back, whatever happens."""
    with asking(port) as http:
        responses = [http.post(path, json=body) for path, body in QUESTIONS]
    assert {response.status_code for response in responses} == {200}
    return [response.content for response in responses]


class Crowd:
    """`answered` are right answers, `wrong` other ones with status 200, `failures` all the rest by
    their status or error.

    With `obedient`, a client that is asked to close its connection leaves, as a balancer does when
    a server is not ready any more; otherwise it goes on until the end of the block.
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
        """Until so many more right answers came."""
        wanted, end = self.answered + more, time.monotonic() + seconds
        while self.answered < wanted:
            assert time.monotonic() < end, f"{self.answered} answers, {self.failures}"
            time.sleep(0.01)

    def _work(self, seed: int) -> None:
        chance = random.Random(seed)
        with asking(self._port) as http:
            while not self._ended.is_set():
                if self._ask(http, chance.randrange(len(QUESTIONS))) and self._obedient:
                    return

    def _ask(self, http: httpx.Client, index: int) -> bool:
        """Whether the server asked to close the connection."""
        path, body = QUESTIONS[index]
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
