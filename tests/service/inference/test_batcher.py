"""The batcher: what is admitted, and in which order and sizes it is run."""

import threading

import pytest

from service.errors import Overloaded
from service.inference.batcher import Batcher
from tests.support.fake_runner import MAX_BATCH_TOKENS, SECONDS, TIMEOUT_SECONDS, FakeRunner, Job


@pytest.mark.usefixtures("held")
def test_an_empty_queue_admits_anything_and_a_full_one_nothing(batcher: Batcher[Job]) -> None:
    batcher.submit([Job("huge", 5000)], "bulk")
    with pytest.raises(Overloaded) as refusal:
        batcher.submit([Job("one")], "interactive")
    assert refusal.value.retry_after_seconds >= 1


@pytest.mark.usefixtures("held")
def test_the_queue_admits_up_to_its_limit(batcher: Batcher[Job], runner: FakeRunner) -> None:
    fits = [batcher.submit([Job("fits", 500)], "bulk") for _ in range(2)]
    with pytest.raises(Overloaded):
        batcher.submit([Job("one too many")], "bulk")
    assert batcher.waiting_tokens("bulk") == 1000
    runner.gate.set()
    for ticket in fits:
        ticket.future.result(SECONDS)
    assert batcher.waiting_tokens("bulk") == 0


@pytest.mark.usefixtures("held")
def test_the_rest_of_an_admitted_request_is_never_refused(
    batcher: Batcher[Job], runner: FakeRunner
) -> None:
    batcher.submit([Job("fills", 5000)], "bulk")
    rest = batcher.submit([Job("rest")], "bulk", admitted=True)
    runner.gate.set()
    rest.future.result(SECONDS)


@pytest.mark.usefixtures("held")
def test_interactive_goes_before_bulk(batcher: Batcher[Job], runner: FakeRunner) -> None:
    tickets = [batcher.submit([Job("bulk")], "bulk") for _ in range(3)]
    tickets.append(batcher.submit([Job("interactive")], "interactive"))
    runner.gate.set()
    for ticket in tickets:
        ticket.future.result(SECONDS)
    assert runner.names[1] == ["interactive"]


@pytest.mark.usefixtures("held")
def test_bulk_is_not_starved(batcher: Batcher[Job], runner: FakeRunner) -> None:
    keystrokes = [
        batcher.submit([Job(f"key {n}", MAX_BATCH_TOKENS)], "interactive") for n in range(12)
    ]
    bulk = batcher.submit([Job("bulk")], "bulk")
    runner.gate.set()
    bulk.future.result(SECONDS)
    for ticket in keystrokes:
        ticket.future.result(SECONDS)
    assert runner.first("bulk") <= 5
    assert any(name.startswith("key") for name in runner.names[-1])


def test_long_work_runs_in_pieces_and_short_work_overtakes_it(
    batcher: Batcher[Job], runner: FakeRunner
) -> None:
    long = batcher.submit([Job("gate, long", 900)], "bulk")
    assert runner.reached.wait(SECONDS)
    short = batcher.submit([Job("short", 3)], "bulk")
    runner.gate.set()
    short.future.result(SECONDS)
    long.future.result(SECONDS)
    assert runner.first("short") == 1
    assert sum("gate, long" in names for names in runner.names) >= 900 / MAX_BATCH_TOKENS
    assert max(runner.padded) <= MAX_BATCH_TOKENS


@pytest.mark.usefixtures("held")
def test_long_work_is_not_starved_by_short_work(batcher: Batcher[Job], runner: FakeRunner) -> None:
    long = batcher.submit([Job("long", 60)], "bulk")
    short = [batcher.submit([Job(f"short {n}", 40)], "bulk") for n in range(20)]
    runner.gate.set()
    for ticket in [long, *short]:
        ticket.future.result(SECONDS)
    assert runner.first("long") <= 4


def test_every_thread_works_at_the_same_time() -> None:
    begun, gate = threading.Semaphore(0), threading.Event()

    def run(works: list[Job], _: int) -> None:
        begun.release()
        assert gate.wait(SECONDS)
        for work in works:
            work.remaining = 0

    batcher = Batcher(run, 2, MAX_BATCH_TOKENS, 1000, TIMEOUT_SECONDS)
    try:
        for name in ("one", "other"):
            batcher.submit([Job(name)], "bulk")
            assert begun.acquire(timeout=SECONDS)
    finally:
        gate.set()
        batcher.close()
