"""Admission refuses by the expected wait and the limits, and lets bulk requests wait in line."""

import asyncio
import math

import pytest

from service.arrays import Priority
from service.errors import Overloaded
from service.inference.admission import (
    ALWAYS_ADMITTED,
    LARGE_TOKENS,
    MAX_BODIES,
    REQUESTS_PER_THREAD,
    Admission,
    Slot,
)
from service.inference.tuning import TUNING
from service.limits import BYTES_PER_TOKEN, WaitLimits
from tests.support.admission import make_admission

LIMITS = WaitLimits(interactive=1, bulk=10)
MAX_BODY_BYTES = 1 << 20
SHORT, LARGE = 100, (LARGE_TOKENS + 1) * BYTES_PER_TOKEN


class FakeBacklog:
    """A queue without tokens, in which a request would wait for `seconds`, by priority."""

    def __init__(self, seconds: WaitLimits) -> None:
        self.seconds = seconds

    def cpu_seconds_before(self, priority: Priority) -> float:
        return self.seconds.of(priority)

    def waiting_tokens(self, _: Priority) -> int:
        return 0


def admission_of(backlog: FakeBacklog | None = None, max_queue_tokens: int = 10**9) -> Admission:
    return make_admission(
        backlog or FakeBacklog(WaitLimits(0, 0)),
        wait_limits=LIMITS,
        max_queue_tokens=max_queue_tokens,
        max_body_bytes=MAX_BODY_BYTES,
    )


class HeldRequests:
    """Requests that hold their slots until `end`."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._end = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def come(self, count: int, body_bytes: int, priority: Priority = "bulk") -> None:
        async def request() -> None:
            async with slot_of(self._admission, priority, body_bytes):
                await self._end.wait()

        self._tasks += [asyncio.create_task(request()) for _ in range(count)]
        for _ in range(5):
            await asyncio.sleep(0)

    async def end(self) -> None:
        self._end.set()
        await asyncio.gather(*self._tasks)


def slot_of(
    admission: Admission, priority: Priority, body_bytes: int, holds_slot: bool = False
) -> Slot:
    """Return a slot without checking whether the request would wait too long."""
    return Slot(admission, priority, body_bytes, holds_slot)


@pytest.mark.parametrize(
    ("priority", "seconds", "refused"),
    [
        ("bulk", 9.9, False),
        ("bulk", 10.1, True),
        ("interactive", 0.9, False),
        ("interactive", 1.1, True),
    ],
)
def test_each_priority_has_its_own_limit(priority: Priority, seconds: float, refused: bool) -> None:
    waits = WaitLimits(0, seconds) if priority == "bulk" else WaitLimits(seconds, 0)
    admission = admission_of(FakeBacklog(waits))
    if not refused:
        admission.check(priority)
        return
    with pytest.raises(Overloaded) as caught:
        admission.check(priority)
    assert caught.value.retry_after_seconds == math.ceil(seconds)


@pytest.mark.parametrize(("requests", "refused"), [(ALWAYS_ADMITTED - 1, False), (8, True)])
def test_a_late_event_loop_refuses_only_under_load(requests: int, refused: bool) -> None:
    admission = admission_of()
    admission.requests = requests
    if refused:
        with pytest.raises(Overloaded):
            admission.check("interactive", loop_lag_seconds=5)
    else:
        admission.check("interactive", loop_lag_seconds=5)


def test_interactive_requests_never_wait_in_line() -> None:
    async def scenario() -> None:
        admission = admission_of()
        held = HeldRequests(admission)
        await held.come(10 * REQUESTS_PER_THREAD, SHORT)
        await held.come(1000, SHORT, "interactive")
        assert admission.requests == REQUESTS_PER_THREAD + 1000
        await held.end()
        assert admission.requests == 0

    asyncio.run(scenario())


def test_short_requests_overtake_large_ones() -> None:
    async def scenario() -> None:
        admission = admission_of()
        held = HeldRequests(admission)
        await held.come(20, LARGE)
        large = admission.requests
        assert 0 < large < 20
        await held.come(3, SHORT)
        assert admission.requests == large + 3
        await held.end()

    asyncio.run(scenario())


def test_requests_in_line_count_for_the_queue_bound() -> None:
    async def scenario() -> None:
        admission = admission_of(max_queue_tokens=2 * TUNING.max_counted_tokens)
        held = HeldRequests(admission)
        tokens = 10 * TUNING.max_counted_tokens
        while admission.waiting_tokens("bulk") < tokens:
            admission.check("bulk")
            await held.come(1, 4000 * BYTES_PER_TOKEN)
        await held.come(2, 4000 * BYTES_PER_TOKEN)
        with pytest.raises(Overloaded, match="at most 1024"):
            admission.check("bulk")
        admission.check("interactive")
        await held.end()
        admission.check("bulk")

    asyncio.run(scenario())


def test_bodies_in_line_are_bounded_in_bytes() -> None:
    async def scenario() -> None:
        admission = admission_of()
        held = HeldRequests(admission)
        room = MAX_BODIES * MAX_BODY_BYTES
        await held.come(admission._large._max_requests, MAX_BODY_BYTES)  # these run
        await held.come(MAX_BODIES, MAX_BODY_BYTES)
        with pytest.raises(Overloaded, match=f"hold {room} bytes"):
            async with slot_of(admission, "bulk", MAX_BODY_BYTES):
                pass
        await held.end()
        async with slot_of(admission, "bulk", MAX_BODY_BYTES):
            pass

    asyncio.run(scenario())


def test_a_failing_request_frees_its_slot() -> None:
    async def scenario() -> None:
        admission = admission_of()
        for _ in range(2 * REQUESTS_PER_THREAD):
            with pytest.raises(ZeroDivisionError):
                async with slot_of(admission, "bulk", SHORT):
                    raise ZeroDivisionError
        assert admission.requests == 0
        async with slot_of(admission, "bulk", SHORT):
            assert admission.requests == 1

    asyncio.run(scenario())


def test_a_request_in_line_returns_its_slot() -> None:
    async def scenario() -> None:
        admission = admission_of()
        held = HeldRequests(admission)
        await held.come(REQUESTS_PER_THREAD, SHORT)
        entered = asyncio.Event()

        async def change_priority() -> None:
            async with (
                slot_of(admission, "interactive", SHORT),
                slot_of(admission, "bulk", SHORT, holds_slot=True),
            ):
                assert admission.requests <= REQUESTS_PER_THREAD
                entered.set()

        task = asyncio.create_task(change_priority())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not entered.is_set()
        assert admission.requests == REQUESTS_PER_THREAD
        await held.end()
        await task
        assert admission.requests == 0

    asyncio.run(scenario())
