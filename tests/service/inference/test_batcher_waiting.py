"""The batcher refuses what would wait too long, by the speed that it measured, and no more."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from service.arrays import PRIORITIES
from service.errors import Overloaded
from service.inference.batcher import Batcher
from service.inference.queue import MOST_AHEAD, PendingRequest
from service.inference.scheduler import LATE_SECONDS
from service.limits import WaitLimits
from tests.support.fake_runner import SECONDS, Job

MAX_BULK_WAIT = 0.25
LIMITS = WaitLimits(interactive=0.2, bulk=MAX_BULK_WAIT)
TOKENS_PER_SECOND = 10_000


class Clock:
    """Processor time as runs of 10,000 tokens a second would take it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Steady:
    """A run that takes its processor time by that clock, and holds works named `gate`."""

    def __init__(self, clock: Clock) -> None:
        self.gate, self.reached = threading.Event(), threading.Event()
        self.names: list[list[str]] = []
        self._clock = clock

    def __call__(self, works: list[Job], limit: int) -> None:
        self._clock.now += limit * len(works) / TOKENS_PER_SECOND
        self.names.append([work.name for work in works])
        if any(work.name == "gate" for work in works):
            self.reached.set()
            assert self.gate.wait(SECONDS)
        for work in works:
            work.remaining -= min(limit, work.remaining)


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> Steady:
    clock = Clock()
    monkeypatch.setattr(time, "thread_time", clock)
    return Steady(clock)


@pytest.fixture
def held(steady: Steady) -> Iterator[Batcher[Job]]:
    """It knows its speed, its one worker is at the gate, and nothing waits."""
    batcher = Batcher(steady, 1, 1000, 10**9, 60, wait_limits=LIMITS)
    for lane in PRIORITIES:
        batcher.submit([Job("first", 100)], lane).future.result(SECONDS)
    batcher.submit([Job("gate")], "bulk")
    assert steady.reached.wait(SECONDS)
    yield batcher
    steady.gate.set()
    batcher.close()


def fill(batcher: Batcher[Job], seconds: float, lane: str = "bulk", size: int = 50) -> None:
    """As much short work as takes so long."""
    for _ in range(round(seconds * TOKENS_PER_SECOND / size)):
        batcher.submit([Job("fills", size)], lane, admitted=True)  # type: ignore[arg-type]  # a lane


def test_waiting_is_expected_by_the_speed_that_was_measured(held: Batcher[Job]) -> None:
    assert held.expected_wait_seconds("bulk") == 0
    fill(held, 0.1)
    assert held.expected_wait_seconds("bulk") == pytest.approx(0.1)
    fill(held, 0.2, "interactive")
    assert held.expected_wait_seconds("bulk") == pytest.approx(0.3)
    assert held.expected_wait_seconds("interactive") == pytest.approx(0.2 * 1.25)


@pytest.mark.parametrize("ask", [Batcher.check_room, None], ids=["at the door", "when submitted"])
def test_what_would_wait_longer_is_refused(
    held: Batcher[Job], ask: Callable[[Batcher[Job], str], None] | None
) -> None:
    def come() -> None:
        if ask is None:
            held.submit([Job("comes")], "bulk")
        else:
            ask(held, "bulk")

    fill(held, MAX_BULK_WAIT - 0.02)
    come()
    fill(held, 0.04)
    with pytest.raises(Overloaded, match=r"at most 0\.25 s") as caught:
        come()
    assert caught.value.retry_after_seconds == 1


def test_the_wait_that_is_said_is_the_one_expected(held: Batcher[Job]) -> None:
    fill(held, 6.4, size=500)
    with pytest.raises(Overloaded) as caught:
        held.check_room("bulk")
    assert caught.value.retry_after_seconds == 7
    fill(held, 60, size=500)
    with pytest.raises(Overloaded) as caught:
        held.check_room("bulk")
    assert caught.value.retry_after_seconds == 60


def test_any_size_is_admitted_while_the_wait_is_short(held: Batcher[Job]) -> None:
    fill(held, 0.1)
    held.submit([Job("huge", 100 * TOKENS_PER_SECOND)], "bulk")
    held.submit([Job(f"part {n}", 500) for n in range(10)], "bulk")


def test_a_long_document_does_not_close_the_door(held: Batcher[Job]) -> None:
    """It is cut in runs, and what comes later overtakes them."""
    held.submit([Job("document", 100 * TOKENS_PER_SECOND)], "bulk")
    expected = held.expected_wait_seconds("bulk")
    assert expected == pytest.approx(MOST_AHEAD / TOKENS_PER_SECOND)
    held.submit([Job("sentence", 20)], "bulk")


def test_a_keystroke_is_admitted_where_bulk_is_refused(held: Batcher[Job]) -> None:
    fill(held, 2)
    with pytest.raises(Overloaded):
        held.submit([Job("sentence", 20)], "bulk")
    held.submit([Job("key")], "interactive")
    held.check_room("interactive")


def test_what_was_admitted_is_finished(held: Batcher[Job], steady: Steady) -> None:
    fill(held, 2)
    rest = held.submit([Job("rest")], "bulk", admitted=True)
    steady.gate.set()
    rest.future.result(SECONDS)


def test_when_the_queue_is_done_everything_is_admitted_again(
    held: Batcher[Job], steady: Steady
) -> None:
    fill(held, 2)
    last = held.submit([Job("last", 60)], "bulk", admitted=True)
    steady.gate.set()
    last.future.result(SECONDS)
    held.check_room("bulk")
    held.submit([Job("comes")], "bulk").future.result(SECONDS)


def test_a_request_of_many_texts_does_not_close_the_door(held: Batcher[Job]) -> None:
    held.submit([Job(f"part {n}", 20) for n in range(4096)], "bulk")
    assert held.expected_wait_seconds("bulk") == pytest.approx(MOST_AHEAD / TOKENS_PER_SECOND)
    held.submit([Job("sentence", 20)], "bulk")


def order(held: Batcher[Job], steady: Steady, late: list[PendingRequest]) -> list[list[str]]:
    """What ran after the gate opened, when everything of these tickets had waited for long."""
    for queue in held._schedule.queues:
        for entry in [*queue._by_age]:
            if entry.ticket in late:
                entry.since -= 2 * LATE_SECONDS
    steady.gate.set()
    for ticket in late:
        ticket.future.result(SECONDS)
    begun = next(index for index, names in enumerate(steady.names) if "gate" in names)
    return steady.names[begun + 1 :]


def test_what_is_late_goes_before_what_is_short(held: Batcher[Job], steady: Steady) -> None:
    """Many short ones would otherwise have three runs of four, however many came."""
    long = held.submit([Job("long", 900)], "bulk")
    fill(held, 0.5)
    assert "long" in order(held, steady, [long])[0]


def test_a_late_sentence_does_not_wait_for_the_end_of_a_large_request(
    held: Batcher[Job], steady: Steady
) -> None:
    large = held.submit([Job("part", 10) for _ in range(4096)], "bulk")
    sentence = held.submit([Job("sentence", 60)], "bulk")
    ran = order(held, steady, [large, sentence])
    assert any("sentence" in names for names in ran[:4])
