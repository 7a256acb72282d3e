"""The batcher admits requests up to its bound and runs them in fair order and sizes."""

import threading

import pytest

from service.errors import Overloaded
from service.inference.admission import Admission
from service.inference.batcher import Batcher
from service.inference.scheduler import Scheduler
from tests.support.admission import make_admission
from tests.support.fake_runner import MAX_BATCH_TOKENS, SECONDS, TIMEOUT_SECONDS, FakeRunner, Job


@pytest.mark.usefixtures("held")
def test_an_empty_queue_admits_any_size(batcher: Batcher[Job]) -> None:
    batcher.submit([Job("huge", 5000)], "bulk")
    with pytest.raises(Overloaded) as refusal:
        batcher.submit([Job("one")], "interactive")
    assert refusal.value.retry_after_seconds >= 1


@pytest.mark.usefixtures("held")
def test_the_queue_admits_up_to_its_limit(
    batcher: Batcher[Job], admission: Admission, runner: FakeRunner
) -> None:
    fits = [batcher.submit([Job("fits", 500)], "bulk") for _ in range(2)]
    with pytest.raises(Overloaded):
        batcher.submit([Job("one too many")], "bulk")
    assert admission.waiting_tokens("bulk") == 1000
    runner.gate.set()
    for request in fits:
        request.future.result(SECONDS)
    assert admission.waiting_tokens("bulk") == 0


@pytest.mark.usefixtures("held")
def test_an_admitted_request_is_never_refused(batcher: Batcher[Job], runner: FakeRunner) -> None:
    batcher.submit([Job("fills", 5000)], "bulk")
    rest = batcher.submit([Job("rest")], "bulk", admitted=True)
    runner.gate.set()
    rest.future.result(SECONDS)


@pytest.mark.usefixtures("held")
def test_interactive_goes_before_bulk(batcher: Batcher[Job], runner: FakeRunner) -> None:
    requests = [batcher.submit([Job("bulk")], "bulk") for _ in range(3)]
    requests.append(batcher.submit([Job("interactive")], "interactive"))
    runner.gate.set()
    for request in requests:
        request.future.result(SECONDS)
    assert runner.names[1] == ["interactive"]


@pytest.mark.usefixtures("held")
def test_bulk_is_not_starved(batcher: Batcher[Job], runner: FakeRunner) -> None:
    keystrokes = [
        batcher.submit([Job(f"key {n}", MAX_BATCH_TOKENS)], "interactive") for n in range(12)
    ]
    bulk = batcher.submit([Job("bulk")], "bulk")
    runner.gate.set()
    bulk.future.result(SECONDS)
    for request in keystrokes:
        request.future.result(SECONDS)
    assert runner.first("bulk") <= 5
    assert any(name.startswith("key") for name in runner.names[-1])


def test_short_tasks_overtake_long_ones(batcher: Batcher[Job], runner: FakeRunner) -> None:
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
def test_short_tasks_do_not_starve_long_ones(batcher: Batcher[Job], runner: FakeRunner) -> None:
    long = batcher.submit([Job("long", 60)], "bulk")
    short = [batcher.submit([Job(f"short {n}", 40)], "bulk") for n in range(20)]
    runner.gate.set()
    for request in [long, *short]:
        request.future.result(SECONDS)
    assert runner.first("long") <= 4


def test_all_threads_run_at_the_same_time() -> None:
    begun, gate = threading.Semaphore(0), threading.Event()

    def run(jobs: list[Job], _: int) -> None:
        begun.release()
        assert gate.wait(SECONDS)
        for job in jobs:
            job.remaining = 0

    scheduler: Scheduler[Job] = Scheduler(MAX_BATCH_TOKENS)
    batcher = Batcher(
        run,
        scheduler,
        make_admission(scheduler, threads=2),
        threads=2,
        request_timeout_seconds=TIMEOUT_SECONDS,
    )
    try:
        for name in ("one", "other"):
            batcher.submit([Job(name)], "bulk")
            assert begun.acquire(timeout=SECONDS)
    finally:
        gate.set()
        batcher.close()
