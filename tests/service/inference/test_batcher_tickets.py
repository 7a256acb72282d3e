"""The batcher's promises to one caller: done, failed alone, refused in time, or dropped."""

import threading
from concurrent.futures import Future

import pytest

from service.arrays import PRIORITIES, Priority
from service.errors import DeadlineExceeded
from service.inference.batcher import Batcher
from tests.support.fake_runner import MAX_QUEUE_TOKENS, SECONDS, TIMEOUT_SECONDS, FakeRunner, Job


@pytest.mark.usefixtures("held")
def test_a_failing_run_fails_its_own_tickets_alone(
    batcher: Batcher[Job], runner: FakeRunner
) -> None:
    bad = batcher.submit([Job("bad"), Job("mate", 5)], "interactive")
    good = batcher.submit([Job("good")], "bulk")
    runner.gate.set()
    with pytest.raises(ZeroDivisionError):
        bad.future.result(SECONDS)
    good.future.result(SECONDS)


def test_the_worker_lives_on_after_a_failed_run(batcher: Batcher[Job]) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            batcher.submit([Job("bad")], "bulk").future.result(SECONDS)
        batcher.submit([Job("good")], "bulk").future.result(SECONDS)


def test_the_worker_lives_on_after_a_caller_cancelled(
    batcher: Batcher[Job], runner: FakeRunner, held: "Future[None]"
) -> None:
    held.cancel()
    runner.gate.set()
    batcher.submit([Job("good")], "bulk").future.result(SECONDS)


@pytest.mark.usefixtures("held")
def test_what_waited_too_long_for_its_first_run_is_refused(
    batcher: Batcher[Job], runner: FakeRunner
) -> None:
    late = batcher.submit([Job("late")], "bulk")
    late.submitted -= TIMEOUT_SECONDS + 1
    good = batcher.submit([Job("good")], "bulk")
    runner.gate.set()
    with pytest.raises(DeadlineExceeded, match="60 seconds"):
        late.future.result(SECONDS)
    good.future.result(SECONDS)
    assert not [names for names in runner.names if "late" in names]


def test_what_has_begun_is_finished_however_long_it_takes(
    batcher: Batcher[Job], runner: FakeRunner
) -> None:
    long = batcher.submit([Job("gate", 500)], "bulk")
    assert runner.reached.wait(SECONDS)
    long.submitted -= TIMEOUT_SECONDS + 1
    runner.gate.set()
    long.future.result(SECONDS)
    assert len(runner.names) > 1


@pytest.mark.usefixtures("held")
def test_abandoned_work_is_not_run(batcher: Batcher[Job], runner: FakeRunner) -> None:
    batcher.submit([Job("before")], "bulk")
    gone = batcher.submit([Job("gone"), Job("gone", 500)], "bulk")
    batcher.abandon(gone)
    stays = batcher.submit([Job("stays")], "bulk")
    runner.gate.set()
    stays.future.result(SECONDS)
    batcher.close()
    assert not [names for names in runner.names if "gone" in names]


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("lane", PRIORITIES)
def test_abandoned_work_frees_its_room_at_once(batcher: Batcher[Job], lane: Priority) -> None:
    """The one worker is still busy: nobody has come to the queue since."""
    stays = batcher.submit([Job("stays", 7)], lane)
    before = batcher.expected_wait_seconds(lane)
    for _ in range(3):
        gone = batcher.submit([Job("gone", MAX_QUEUE_TOKENS // 4) for _ in range(3)], lane)
        assert batcher.waiting_tokens(lane) == 7 + 3 * (MAX_QUEUE_TOKENS // 4)
        batcher.abandon(gone)
        batcher.abandon(gone)
        assert batcher.waiting_tokens(lane) == 7
    assert batcher.expected_wait_seconds(lane) == before
    assert not stays.future.done()


def test_work_abandoned_in_the_middle_stops_there(
    batcher: Batcher[Job], runner: FakeRunner
) -> None:
    long = batcher.submit([Job("gate", 900)], "bulk")
    assert runner.reached.wait(SECONDS)
    batcher.abandon(long)
    runner.gate.set()
    batcher.submit([Job("next")], "bulk").future.result(SECONDS)
    batcher.close()
    assert sum("gate" in names for names in runner.names) == 1


@pytest.mark.usefixtures("held")
def test_close_finishes_what_waits(batcher: Batcher[Job], runner: FakeRunner) -> None:
    tickets = [batcher.submit([Job("waits", 100)], "bulk") for _ in range(5)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    runner.gate.set()
    closing.join(SECONDS)
    assert not closing.is_alive()
    for ticket in tickets:
        assert ticket.future.result(0) is None


def test_a_ticket_of_nothing_is_done_at_once(batcher: Batcher[Job]) -> None:
    assert batcher.submit([], "bulk").future.result(0) is None


@pytest.mark.usefixtures("held")
def test_a_ticket_is_done_when_all_its_works_are(batcher: Batcher[Job], runner: FakeRunner) -> None:
    works = [Job("part", size) for size in (1, 70, 300)]
    ticket = batcher.submit(works, "bulk")
    runner.gate.set()
    ticket.future.result(SECONDS)
    assert [work.remaining for work in works] == [0, 0, 0]
