"""One service for the whole run: the starter bundle behind a real server on 127.0.0.1."""

import os
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import httpx
import pytest
from hypothesis import settings

from service.bulk import __main__ as command
from service.bundle import Bundle
from service.inference.admission import Admission
from service.inference.batcher import Batcher
from service.inference.scheduler import Scheduler
from service.language_model import LanguageModel
from service.settings import STARTER_BUNDLE, Settings
from service.text.tokenizer import Tokenizer
from tests.support.admission import make_admission
from tests.support.api_client import ApiClient
from tests.support.bulk_job import Jobs
from tests.support.fake_runner import (
    MAX_BATCH_TOKENS,
    MAX_QUEUE_TOKENS,
    SECONDS,
    TIMEOUT_SECONDS,
    FakeRunner,
    Job,
)
from tests.support.http_server import Address, serve

# The machine that runs the tests may be busy: what counts is the answer, not when it comes.
# CI repeats the same cases; everywhere else each run tries others.
in_ci = "CI" in os.environ
settings.register_profile("service", deadline=None, max_examples=50, derandomize=in_ci)
settings.load_profile("service")


@pytest.fixture(scope="session")
def bundle_path() -> Path:
    return STARTER_BUNDLE


@pytest.fixture(scope="session")
def model(bundle_path: Path) -> Iterator[LanguageModel]:
    # No request is refused for the time it would wait, however busy the machine is.
    settings = Settings(bundle=bundle_path, threads=2, max_queue_seconds=60)
    built = LanguageModel(Bundle.load(bundle_path), settings)
    yield built
    built.close()


@pytest.fixture(scope="session")
def address(model: LanguageModel) -> Iterator[Address]:
    with serve(model) as listened:
        yield listened


@pytest.fixture(scope="session")
def api(address: Address) -> Iterator[ApiClient]:
    url = f"http://{address[0]}:{address[1]}"
    # By default 20 connections are kept: of 64 threads some would close what others are given.
    all_of_them = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    with httpx.Client(base_url=url, timeout=120, trust_env=False, limits=all_of_them) as http:
        yield ApiClient(http)


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner()


@pytest.fixture
def scheduler() -> Scheduler[Job]:
    return Scheduler(MAX_BATCH_TOKENS)


@pytest.fixture
def admission(scheduler: Scheduler[Job]) -> Admission:
    return make_admission(scheduler, max_queue_tokens=MAX_QUEUE_TOKENS)


@pytest.fixture
def batcher(
    runner: FakeRunner, scheduler: Scheduler[Job], admission: Admission
) -> Iterator[Batcher[Job]]:
    """A batcher with one worker."""
    made = Batcher(runner, scheduler, admission, threads=1, request_timeout_seconds=TIMEOUT_SECONDS)
    yield made
    runner.gate.set()
    made.close()


@pytest.fixture
def held(batcher: Batcher[Job], runner: FakeRunner) -> "Future[None]":
    """The one worker is at the gate, and nothing waits."""
    request = batcher.submit([Job("gate")], "bulk")
    assert runner.reached.wait(SECONDS)
    return request.future


@pytest.fixture
def jobs(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setattr(command, "load_model", lambda bundle, threads: model)
    monkeypatch.setattr(model, "close", lambda: None)
    monkeypatch.setattr(command, "tune_interpreter", lambda: None)
    return Jobs(model)


@pytest.fixture
def chunk_lengths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many characters each piece has that is encoded."""
    found: list[int] = []
    encode = Tokenizer._encode

    def noted(self: Tokenizer, piece: str) -> object:
        found.append(len(piece))
        return encode(self, piece)

    monkeypatch.setattr(Tokenizer, "_encode", noted)
    return found
