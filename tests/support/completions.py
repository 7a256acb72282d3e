"""Requests to `/v1/completions`, and the threads that serve them."""

import threading
from typing import Any

import pytest

from tests.support.api_client import ApiClient, Json, ok_json


def complete(api: ApiClient, **fields: Any) -> Json:
    return ok_json(api.post("/v1/completions", **{"model": "tiedlm", **fields}))


def only_choice(api: ApiClient, **fields: Any) -> Json:
    (choice,) = complete(api, **fields)["choices"]
    return dict(choice)


def thread_names(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[str]:
    """Return a list to which each later call of a function adds the name of its thread."""
    function, threads = getattr(owner, name), []

    def recorded(*args: Any, **keywords: Any) -> Any:
        threads.append(threading.current_thread().name)
        return function(*args, **keywords)

    monkeypatch.setattr(owner, name, recorded)
    return threads
