"""Two processes, as two replicas behind one address: a state made by one goes on at the other."""

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

BEGIN, END = "The bridge crosses the river", "and the old town ."


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


def test_a_state_goes_on_at_another_replica_with_the_same_key(stack: ExitStack, key: Path) -> None:
    """Bit for bit as if one replica had read the whole text, there and back."""
    first, second = replica(stack, key), replica(stack, key)
    whole = logprobs(score(first, f"{BEGIN} {END}"))
    begun = score(first, BEGIN, eos=False)
    gone_on = score(second, END, state=begun["results"][0]["state"])
    assert logprobs(begun) + logprobs(gone_on) == whole
    back = score(first, END, state=gone_on["results"][0]["state"])
    assert logprobs(back) == logprobs(score(second, END, state=gone_on["results"][0]["state"]))


def test_a_replica_with_another_key_refuses_the_state(stack: ExitStack, key: Path) -> None:
    first, second = replica(stack, key), replica(stack, None)
    state = score(first, BEGIN)["results"][0]["state"]
    error_json(second.post("/score", json={"text": END, "state": state}), 422, "invalid_state")


def test_a_replica_that_takes_another_s_place_goes_on_with_its_states(key: Path) -> None:
    """As in a rolling upgrade: the old process has ended before the new one is asked."""
    with ExitStack() as stack:
        env = environment(TIEDLM_STATE_KEY_FILE=str(key), TIEDLM_DRAIN_SECONDS="0")
        process, port = stack.enter_context(running(STARTER_BUNDLE, env=env))
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, trust_env=False, timeout=SECONDS) as client:
            whole = logprobs(score(client, f"{BEGIN} {END}"))
            begun = score(client, BEGIN, eos=False)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        after = score(replica(stack, key), END, state=begun["results"][0]["state"])
    assert logprobs(begun) + logprobs(after) == whole
