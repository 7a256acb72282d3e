"""Two processes as replicas behind one address: one continues from the states of the other."""

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from service.settings import STARTER_BUNDLE
from tests.support.api_client import Json, error_json, ok_json
from tests.support.server_process import SECONDS, environment, running

START, END = "The bridge crosses the river", "and the old town ."


def replica(stack: ExitStack, key: Path | None) -> httpx.Client:
    env = environment() if key is None else environment(TIEDLM_STATE_KEY_FILE=str(key))
    _, port = stack.enter_context(running(STARTER_BUNDLE, env=env))
    url = f"http://127.0.0.1:{port}"
    return stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=SECONDS))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "state-key"
    path.write_text(secrets.token_hex(32))
    return path


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def score(client: httpx.Client, text: str, **fields: object) -> Json:
    return ok_json(client.post("/score", json={"text": text, "return_state": True, **fields}))


def logprobs(result: Json) -> list[float]:
    return [token["logprob"] for token in result["results"][0]["tokens"]]


def test_replica_with_the_same_key_accepts_a_state(stack: ExitStack, key: Path) -> None:
    """The scores equal those of one replica, bit for bit, in both directions."""
    first, second = replica(stack, key), replica(stack, key)
    whole = logprobs(score(first, f"{START} {END}"))
    start = score(first, START, eos=False)
    rest = score(second, END, state=start["results"][0]["state"])
    assert logprobs(start) + logprobs(rest) == whole
    returned = score(first, END, state=rest["results"][0]["state"])
    assert logprobs(returned) == logprobs(score(second, END, state=rest["results"][0]["state"]))


def test_replica_with_another_key_rejects_a_state(stack: ExitStack, key: Path) -> None:
    first, second = replica(stack, key), replica(stack, None)
    state = score(first, START)["results"][0]["state"]
    error_json(second.post("/score", json={"text": END, "state": state}), 422, "invalid_state")


def test_new_replica_accepts_states_of_the_old(key: Path) -> None:
    """As in a rolling upgrade: the old process ends before the new one gets the request."""
    with ExitStack() as stack:
        env = environment(TIEDLM_STATE_KEY_FILE=str(key), TIEDLM_DRAIN_SECONDS="0")
        process, port = stack.enter_context(running(STARTER_BUNDLE, env=env))
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, trust_env=False, timeout=SECONDS) as client:
            whole = logprobs(score(client, f"{START} {END}"))
            start = score(client, START, eos=False)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        after = score(replica(stack, key), END, state=start["results"][0]["state"])
    assert logprobs(start) + logprobs(after) == whole
