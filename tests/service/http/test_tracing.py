"""Tracing without its packages; `tests/test_tracing.py` tests it with them."""

import sys

import pytest
from fastapi import FastAPI

from service.errors import StartError
from service.http.tracing import enable_tracing


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(StartError, match=r"in the clone of tiedlm: pip install '\.\[tracing\]'"):
        enable_tracing(FastAPI())
