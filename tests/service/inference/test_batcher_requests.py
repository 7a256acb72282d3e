"""Each request to the batcher finishes, fails alone, is refused in time, or is cancelled."""

import threading
from concurrent.futures import Future

import pytest

from service.arrays import PRIORITIES, Priority
from service.errors import DeadlineExceeded
from service.inference.admission import Admission
from service.inference.batcher import Batcher
from tests.support.fake_runner import MAX_QUEUE_TOKENS, SECONDS, TIMEOUT_SECONDS, FakeRunner, Job


@pytest.mark.usefixtures("held")
def test_a_failing_batch_fails_its_own_requests_alone(
    batcher: Batcher[Job], runner: FakeRunner
) -> None:
    bad = batcher.submit([Job("bad"), Job("mate", 5)], "interactive")
    good = batcher.submit([Job("good")], "bulk")
    runner.gate.set()
    with pytest.raises(ZeroDivisionError):
        bad.future.result(SECONDS)
    good.future.result(SECONDS)


def test_the_worker_lives_on_after_a_failed_batch(batcher: Batcher[Job]) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            batcher.submit([Job("bad")], "bulk").future.result(SECONDS)
        batcher.submit([Job("good")], "bulk").future.result(SECONDS)


def test_the_worker_lives_on_after_a_cancelled_future(
    batcher: Batcher[Job], runner: FakeRunner, held: "Future[None]"
) -> None:
    held.cancel()
    runner.gate.set()
    batcher.submit([Job("good")], "bulk").future.result(SECONDS)


@pytest.mark.usefixtures("held")
def test_a_request_that_waits_too_long_fails(batcher: Batcher[Job], runner: FakeRunner) -> None:
    late = batcher.submit([Job("late")], "bulk")
    late.submitted_at -= TIMEOUT_SECONDS + 1
    good = batcher.submit([Job("good")], "bulk")
    runner.gate.set()
    with pytest.raises(DeadlineExceeded, match="60 seconds"):
        late.future.result(SECONDS)
    good.future.result(SECONDS)
    assert not [names for names in runner.names if "late" in names]


def test_a_started_request_has_no_deadline(batcher: Batcher[Job], runner: FakeRunner) -> None:
    long = batcher.submit([Job("gate", 500)], "bulk")
    assert runner.reached.wait(SECONDS)
    long.submitted_at -= TIMEOUT_SECONDS + 1
    runner.gate.set()
    long.future.result(SECONDS)
    assert len(runner.names) > 1


@pytest.mark.usefixtures("held")
def test_a_cancelled_request_does_not_run(batcher: Batcher[Job], runner: FakeRunner) -> None:
    batcher.submit([Job("before")], "bulk")
    gone = batcher.submit([Job("gone"), Job("gone", 500)], "bulk")
    batcher.cancel(gone)
    stays = batcher.submit([Job("stays")], "bulk")
    runner.gate.set()
    stays.future.result(SECONDS)
    batcher.close()
    assert not [names for names in runner.names if "gone" in names]


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("priority", PRIORITIES)
def test_a_cancelled_request_frees_its_room_at_once(
    batcher: Batcher[Job], admission: Admission, priority: Priority
) -> None:
    """The one worker is still busy, and has not come to the queue since."""
    stays = batcher.submit([Job("stays", 7)], priority)
    before = admission.expected_wait_seconds(priority)
    for _ in range(3):
        gone = batcher.submit([Job("gone", MAX_QUEUE_TOKENS // 4) for _ in range(3)], priority)
        assert admission.waiting_tokens(priority) == 7 + 3 * (MAX_QUEUE_TOKENS // 4)
        batcher.cancel(gone)
        batcher.cancel(gone)
        assert admission.waiting_tokens(priority) == 7
    assert admission.expected_wait_seconds(priority) == before
    assert not stays.future.done()


def test_a_request_cancelled_in_the_middle_stops_there(
    batcher: Batcher[Job], runner: FakeRunner
) -> None:
    long = batcher.submit([Job("gate", 900)], "bulk")
    assert runner.reached.wait(SECONDS)
    batcher.cancel(long)
    runner.gate.set()
    batcher.submit([Job("next")], "bulk").future.result(SECONDS)
    batcher.close()
    assert sum("gate" in names for names in runner.names) == 1


@pytest.mark.usefixtures("held")
def test_close_finishes_waiting_requests(batcher: Batcher[Job], runner: FakeRunner) -> None:
    requests = [batcher.submit([Job("waits", 100)], "bulk") for _ in range(5)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    runner.gate.set()
    closing.join(SECONDS)
    assert not closing.is_alive()
    for request in requests:
        assert request.future.result(0) is None


def test_an_empty_request_is_finished_at_once(batcher: Batcher[Job]) -> None:
    assert batcher.submit([], "bulk").future.result(0) is None


@pytest.mark.usefixtures("held")
def test_a_request_finishes_with_its_last_task(batcher: Batcher[Job], runner: FakeRunner) -> None:
    jobs = [Job("part", size) for size in (1, 70, 300)]
    request = batcher.submit(jobs, "bulk")
    runner.gate.set()
    request.future.result(SECONDS)
    assert [job.remaining for job in jobs] == [0, 0, 0]
