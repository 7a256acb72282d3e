"""Test of a score on an emulated AVX2-only processor; `make portability` is the long form."""

import shutil

import pytest

from service.settings import STARTER_BUNDLE
from tests.programs.portability.__main__ import EMULATOR, LARGEST_DIFFERENCE, difference


@pytest.mark.skipif(shutil.which(EMULATOR) is None, reason=f"NOT RUN: {EMULATOR} is not installed")
def test_an_older_processor_gives_the_same_score() -> None:
    largest, tokens = difference(STARTER_BUNDLE, 1)
    assert tokens > 10
    assert largest <= LARGEST_DIFFERENCE
