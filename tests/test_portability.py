"""The short form of `make portability`: one sentence on an emulated AVX2-only processor."""

import shutil

import pytest

from service.settings import STARTER_BUNDLE
from tests.programs.portability.__main__ import EMULATOR, LARGEST_DIFFERENCE, difference


@pytest.mark.skipif(shutil.which(EMULATOR) is None, reason=f"NOT RUN: {EMULATOR} is not installed")
def test_a_score_is_the_same_on_an_older_processor() -> None:
    largest, tokens = difference(STARTER_BUNDLE, 1)
    assert tokens > 10
    assert largest <= LARGEST_DIFFERENCE
