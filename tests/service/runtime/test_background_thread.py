"""Work in the background thread waits for an expected time, and fails when it waited too long."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from service.errors import DeadlineExceeded, Overloaded
from service.inference.scheduler import Scheduler
from service.language_model import LanguageModel
from service.limits import WaitLimits
from service.runtime.background_thread import BackgroundThread
from tests.support.admission import make_admission
from tests.support.api_client import ApiClient, error_json
from tests.support.fake_runner import SECONDS

LONG = "the river " * 500  # too long to be tokenized on the event loop
ALWAYS_BUSY = make_admission(Scheduler(1), wait_limits=WaitLimits(-1.0, -1.0))


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    made = threading.Event()
    yield made
    made.set()


def held(gate: threading.Event) -> Callable[[], bool]:
    return lambda: gate.wait(SECONDS)


def test_a_long_wait_refuses_new_work_alone(gate: threading.Event) -> None:
    limits = WaitLimits(interactive=0.1, bulk=1.5)
    admission = make_admission(Scheduler(1), wait_limits=limits)
    thread = BackgroundThread(admission.check_tokenizing)

    async def scenario() -> None:
        first = asyncio.create_task(thread.run(held(gate), 1.5, priority="bulk"))
        await asyncio.sleep(0)
        second = asyncio.create_task(thread.run(held(gate), 5, priority="bulk"))
        await asyncio.sleep(0)
        assert thread.waiting_seconds == 6.5
        with pytest.raises(Overloaded) as caught:
            await thread.run(held(gate), 0.001, priority="bulk")
        assert caught.value.retry_after_seconds == 7
        third = asyncio.create_task(thread.run(held(gate), 1))
        await asyncio.sleep(0)
        gate.set()
        assert all(await asyncio.gather(first, second, third))

    asyncio.run(scenario())
    thread.close()
    assert thread.waiting_seconds == 0


def test_a_cancelled_caller_drops_its_work(gate: threading.Event) -> None:
    thread, done = BackgroundThread(), list[str]()

    async def scenario() -> None:
        first = asyncio.create_task(thread.run(held(gate), 1))
        await asyncio.sleep(0)
        cancelled = asyncio.create_task(thread.run(lambda: done.append("cancelled"), 1e9))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0.01)
        assert thread.waiting_seconds == pytest.approx(1)
        gate.set()
        await first

    asyncio.run(scenario())
    thread.close()
    assert done == []


def test_work_that_waited_too_long_does_not_start(gate: threading.Event) -> None:
    thread, done = BackgroundThread(request_timeout_seconds=0.01), list[str]()

    async def scenario() -> None:
        first = asyncio.create_task(thread.run(held(gate)))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(thread.run(lambda: done.append("late"), priority="bulk"))
        responding = asyncio.create_task(thread.run(lambda: done.append("response")))
        await asyncio.sleep(0.05)
        gate.set()
        await first
        with pytest.raises(DeadlineExceeded):
            await waiting
        await responding

    asyncio.run(scenario())
    thread.close()
    assert done == ["response"]


@pytest.mark.parametrize(
    ("route", "long", "short"),
    [
        ("/score", {"text": LONG}, {"text": "the river"}),
        ("/score", {"token_ids": [[2] * 2000]}, {"token_ids": [[2]]}),
        ("/tokenize", {"prompt": LONG}, {"prompt": "the river"}),
        ("/detokenize", {"tokens": [2] * 2000}, {"tokens": [2]}),
        ("/next-token", {"context": LONG}, {"context": "the river"}),
    ],
)
def test_a_busy_thread_refuses_only_long_texts(
    api: ApiClient,
    model: LanguageModel,
    monkeypatch: pytest.MonkeyPatch,
    route: str,
    long: dict[str, object],
    short: dict[str, object],
) -> None:
    assert api.post(route, **long).status_code == 200
    monkeypatch.setattr(model._background_thread, "_check_wait", ALWAYS_BUSY.check_tokenizing)
    response = api.post(route, **long)
    error_json(response, 429, "overloaded")
    assert response.headers["Retry-After"] == "1"
    assert api.post(route, **short).status_code == 200


def test_a_busy_thread_refuses_no_response(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The JSON of 3,000 tokens is written in the thread too; their text was short."""
    monkeypatch.setattr(model._background_thread, "_check_wait", ALWAYS_BUSY.check_tokenizing)
    assert len(api.score(texts=["a b"] * 1000)["results"]) == 1000
