"""Tests of a full queue."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from service.settings import STARTER_BUNDLE
from tests.faults.conftest import LONG, Service
from tests.support.api_client import error_json
from tests.support.concurrent_clients import REQUESTS, WORDS, ConcurrentClients
from tests.support.server_process import SECONDS, http_client, running, stop

QUEUE_SECONDS = 60.0 if LONG else 5.0


@pytest.fixture(params=["--max-queue-tokens", "--max-queue-seconds"])
def narrow(request: pytest.FixtureRequest) -> Iterator[Service]:
    """Yield a service with a small queue, limited by tokens or by time."""
    limits = {"--max-queue-tokens": "3000", "--max-queue-seconds": "0.05"}
    flags = (request.param, limits[request.param], "--drain-seconds", "0")
    with running(STARTER_BUNDLE, *flags) as (process, port):
        yield Service(process, port)
        stop(process)


def test_a_full_queue_rejects_and_recovers(narrow: Service) -> None:
    statuses: Counter[int] = Counter()
    lock, ended = threading.Lock(), threading.Event()

    def flood(seed: int) -> None:
        chance = random.Random(seed)
        texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 40))) for _ in range(64)]
        with http_client(narrow.port) as http:
            while not ended.is_set():
                response = http.post("/score", json={"texts": texts, "tokens": False})
                with lock:
                    statuses[response.status_code] += 1
                if response.status_code == 429:
                    refusal = error_json(response, 429, "overloaded")
                    assert refusal["type"] == "rate_limit_error"
                    assert int(response.headers["Retry-After"]) >= 1
                    time.sleep(0.01)  # a client that follows Retry-After would wait

    threads = [threading.Thread(target=flood, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    with ConcurrentClients(narrow.port, narrow.answers, clients=2) as clients:
        time.sleep(QUEUE_SECONDS)
        end = time.monotonic() + SECONDS
        while not {200, 429} <= set(statuses) and time.monotonic() < end:
            time.sleep(0.1)
    ended.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 429}
    assert clients.wrong == 0
    assert set(clients.failures) <= {"429"}
    assert narrow.is_as_before()
    with ConcurrentClients(narrow.port, narrow.answers, clients=1) as after:
        after.wait_for(2 * len(REQUESTS))
    assert (after.wrong, after.failures) == (0, {})
