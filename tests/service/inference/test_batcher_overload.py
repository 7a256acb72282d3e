"""The batcher refuses requests that would wait too long, by the speed that it measured."""

import threading
import time
from collections.abc import Iterator

import pytest

from service.arrays import PRIORITIES, Priority
from service.errors import Overloaded
from service.inference.admission import Admission
from service.inference.batcher import Batcher
from service.inference.queue import PendingRequest
from service.inference.scheduler import Scheduler
from service.inference.tuning import TUNING
from service.limits import WaitLimits
from tests.support.admission import make_admission
from tests.support.fake_runner import SECONDS, Job

MAX_BULK_WAIT = 0.25
LIMITS = WaitLimits(interactive=0.2, bulk=MAX_BULK_WAIT)
TOKENS_PER_SECOND = 10_000


class Clock:
    """A fake of processor time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SteadyRunner:
    """Runs 10,000 tokens a second by the fake clock, and holds jobs named `gate`."""

    def __init__(self, clock: Clock) -> None:
        self.gate, self.reached = threading.Event(), threading.Event()
        self.names: list[list[str]] = []
        self._clock = clock

    def __call__(self, jobs: list[Job], chunk_length: int) -> None:
        self._clock.now += chunk_length * len(jobs) / TOKENS_PER_SECOND
        self.names.append([job.name for job in jobs])
        if any(job.name == "gate" for job in jobs):
            self.reached.set()
            assert self.gate.wait(SECONDS)
        for job in jobs:
            job.remaining -= min(chunk_length, job.remaining)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> SteadyRunner:
    clock = Clock()
    monkeypatch.setattr(time, "thread_time", clock)
    return SteadyRunner(clock)


@pytest.fixture
def scheduler() -> Scheduler[Job]:
    return Scheduler(1000)


@pytest.fixture
def admission(scheduler: Scheduler[Job]) -> Admission:
    return make_admission(scheduler, wait_limits=LIMITS)


@pytest.fixture
def held(
    runner: SteadyRunner, scheduler: Scheduler[Job], admission: Admission
) -> Iterator[Batcher[Job]]:
    """A batcher whose speed is measured, whose worker is at the gate, and whose queue is empty."""
    batcher = Batcher(runner, scheduler, admission, threads=1, request_timeout_seconds=60)
    for priority in PRIORITIES:
        batcher.submit([Job("first", 100)], priority).future.result(SECONDS)
    batcher.submit([Job("gate")], "bulk")
    assert runner.reached.wait(SECONDS)
    yield batcher
    runner.gate.set()
    batcher.close()


def fill(
    batcher: Batcher[Job], seconds: float, priority: Priority = "bulk", size: int = 50
) -> None:
    """Queue jobs of `size` tokens that take `seconds` together."""
    for _ in range(round(seconds * TOKENS_PER_SECOND / size)):
        batcher.submit([Job("fills", size)], priority, admitted=True)


def test_the_expected_wait_follows_the_measured_speed(
    held: Batcher[Job], admission: Admission
) -> None:
    assert admission.expected_wait_seconds("bulk") == 0
    fill(held, 0.1)
    assert admission.expected_wait_seconds("bulk") == pytest.approx(0.1)
    fill(held, 0.2, "interactive")
    assert admission.expected_wait_seconds("bulk") == pytest.approx(0.3)
    assert admission.expected_wait_seconds("interactive") == pytest.approx(0.2 * 1.25)


@pytest.mark.parametrize("submitted", [False, True])
def test_a_longer_wait_than_the_limit_is_refused(
    held: Batcher[Job], admission: Admission, submitted: bool
) -> None:
    def come() -> None:
        if submitted:
            held.submit([Job("comes")], "bulk")
        else:
            admission.check_queue("bulk")

    fill(held, MAX_BULK_WAIT - 0.02)
    come()
    fill(held, 0.04)
    with pytest.raises(Overloaded, match=r"at most 0\.25 s") as caught:
        come()
    assert caught.value.retry_after_seconds == 1


def test_retry_after_is_the_expected_wait(held: Batcher[Job], admission: Admission) -> None:
    fill(held, 6.4, size=500)
    with pytest.raises(Overloaded) as caught:
        admission.check_queue("bulk")
    assert caught.value.retry_after_seconds == 7
    fill(held, 60, size=500)
    with pytest.raises(Overloaded) as caught:
        admission.check_queue("bulk")
    assert caught.value.retry_after_seconds == 60


def test_a_short_wait_admits_any_size(held: Batcher[Job]) -> None:
    fill(held, 0.1)
    held.submit([Job("huge", 100 * TOKENS_PER_SECOND)], "bulk")
    held.submit([Job(f"part {n}", 500) for n in range(10)], "bulk")


def test_a_long_document_counts_as_one_batch(held: Batcher[Job], admission: Admission) -> None:
    """It runs in chunks, and later requests overtake them."""
    held.submit([Job("document", 100 * TOKENS_PER_SECOND)], "bulk")
    expected = admission.expected_wait_seconds("bulk")
    assert expected == pytest.approx(TUNING.max_counted_tokens / TOKENS_PER_SECOND)
    held.submit([Job("sentence", 20)], "bulk")


def test_a_keystroke_is_admitted_where_bulk_is_refused(
    held: Batcher[Job], admission: Admission
) -> None:
    fill(held, 2)
    with pytest.raises(Overloaded):
        held.submit([Job("sentence", 20)], "bulk")
    held.submit([Job("key")], "interactive")
    admission.check_queue("interactive")


def test_admitted_requests_finish(held: Batcher[Job], runner: SteadyRunner) -> None:
    fill(held, 2)
    rest = held.submit([Job("rest")], "bulk", admitted=True)
    runner.gate.set()
    rest.future.result(SECONDS)


def test_an_empty_queue_admits_again(
    held: Batcher[Job], admission: Admission, runner: SteadyRunner
) -> None:
    fill(held, 2)
    last = held.submit([Job("last", 60)], "bulk", admitted=True)
    runner.gate.set()
    last.future.result(SECONDS)
    admission.check_queue("bulk")
    held.submit([Job("comes")], "bulk").future.result(SECONDS)


def test_many_texts_count_as_one_batch(held: Batcher[Job], admission: Admission) -> None:
    held.submit([Job(f"part {n}", 20) for n in range(4096)], "bulk")
    assert admission.expected_wait_seconds("bulk") == pytest.approx(
        TUNING.max_counted_tokens / TOKENS_PER_SECOND
    )
    held.submit([Job("sentence", 20)], "bulk")


def order(
    scheduler: Scheduler[Job], runner: SteadyRunner, late: list[PendingRequest]
) -> list[list[str]]:
    """Return the batches that ran after the gate opened, when the `late` requests had waited."""
    for queue in scheduler._queues.values():
        for entry in [*queue._by_age]:
            if entry.request in late:
                entry.added_at -= 2 * TUNING.late_seconds
    runner.gate.set()
    for request in late:
        request.future.result(SECONDS)
    start = next(index for index, names in enumerate(runner.names) if "gate" in names)
    return runner.names[start + 1 :]


def test_late_tasks_go_before_short_ones(
    held: Batcher[Job], scheduler: Scheduler[Job], runner: SteadyRunner
) -> None:
    """Many short tasks would otherwise have three batches of four."""
    long = held.submit([Job("long", 900)], "bulk")
    fill(held, 0.5)
    assert "long" in order(scheduler, runner, [long])[0]


def test_a_late_sentence_overtakes_a_large_request(
    held: Batcher[Job], scheduler: Scheduler[Job], runner: SteadyRunner
) -> None:
    large = held.submit([Job("part", 10) for _ in range(4096)], "bulk")
    sentence = held.submit([Job("sentence", 60)], "bulk")
    ran = order(scheduler, runner, [large, sentence])
    assert any("sentence" in names for names in ran[:4])
