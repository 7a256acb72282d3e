"""The starter bundle as a model, for what the metrics and the routes are."""

from collections.abc import Iterator

import pytest

from service.bundle import Bundle
from service.language_model import LanguageModel
from service.settings import STARTER_BUNDLE, Settings


@pytest.fixture(scope="session")
def model() -> Iterator[LanguageModel]:
    built = LanguageModel(Bundle.load(STARTER_BUNDLE), Settings(threads=1))
    yield built
    built.close()
