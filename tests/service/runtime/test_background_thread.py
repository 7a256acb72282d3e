"""Long work waits for its turn, for a time that is known, and no longer than a request may."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from service.errors import DeadlineExceeded, Overloaded
from service.language_model import LanguageModel
from service.limits import WaitLimits
from service.runtime.background_thread import BackgroundThread
from tests.support.api_client import ApiClient, error_json
from tests.support.fake_runner import SECONDS

LONG = "the river " * 500  # more than is tokenized where it is


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    made = threading.Event()
    yield made
    made.set()


def held(gate: threading.Event) -> Callable[[], bool]:
    return lambda: gate.wait(SECONDS)


def test_what_would_wait_too_long_is_refused_and_what_was_admitted_is_not(
    gate: threading.Event,
) -> None:
    long = BackgroundThread(WaitLimits(interactive=0.1, bulk=1.5))

    async def crowd() -> None:
        first = asyncio.create_task(long.run(held(gate), 1.5, lane="bulk"))
        await asyncio.sleep(0)
        second = asyncio.create_task(long.run(held(gate), 5, lane="bulk"))
        await asyncio.sleep(0)
        assert long.waiting_seconds == 6.5
        with pytest.raises(Overloaded) as caught:
            await long.run(held(gate), 0.001, lane="bulk")
        assert caught.value.retry_after_seconds == 7
        third = asyncio.create_task(long.run(held(gate), 1))
        await asyncio.sleep(0)
        gate.set()
        assert all(await asyncio.gather(first, second, third))

    asyncio.run(crowd())
    long.close()
    assert long.waiting_seconds == 0


def test_who_leaves_waits_no_more(gate: threading.Event) -> None:
    long, done = BackgroundThread(), list[str]()

    async def leave() -> None:
        first = asyncio.create_task(long.run(held(gate), 1))
        await asyncio.sleep(0)
        leaving = asyncio.create_task(long.run(lambda: done.append("left"), 1e9))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0.01)
        assert long.waiting_seconds == pytest.approx(1)
        gate.set()
        await first

    asyncio.run(leave())
    long.close()
    assert done == []


def test_what_waited_too_long_all_the_same_is_not_begun(gate: threading.Event) -> None:
    long, done = BackgroundThread(request_timeout_seconds=0.01), list[str]()

    async def late() -> None:
        first = asyncio.create_task(long.run(held(gate)))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(long.run(lambda: done.append("late"), lane="bulk"))
        answering = asyncio.create_task(long.run(lambda: done.append("answer")))
        await asyncio.sleep(0.05)
        gate.set()
        await first
        with pytest.raises(DeadlineExceeded):
            await waiting
        await answering

    asyncio.run(late())
    long.close()
    assert done == ["answer"]


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
def test_long_texts_alone_are_refused_for_it(
    api: ApiClient,
    model: LanguageModel,
    monkeypatch: pytest.MonkeyPatch,
    route: str,
    long: dict[str, object],
    short: dict[str, object],
) -> None:
    assert api.post(route, **long).status_code == 200
    monkeypatch.setattr(model._background_thread, "_wait_limits", WaitLimits(-1.0, -1.0))
    response = api.post(route, **long)
    error_json(response, 429, "overloaded")
    assert response.headers["Retry-After"] == "1"
    assert api.post(route, **short).status_code == 200


def test_answers_are_not_refused_for_it(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The JSON of 3,000 tokens is long work too; their text was short."""
    monkeypatch.setattr(model._background_thread, "_wait_limits", WaitLimits(-1.0, -1.0))
    assert len(api.score(texts=["a b"] * 1000)["results"]) == 1000
