"""The starter bundle as a language model, whose metrics and routes the tests inspect."""

from collections.abc import Iterator

import pytest

from service.bundle import Bundle
from service.language_model import LanguageModel
from service.settings import STARTER_BUNDLE, Settings


@pytest.fixture(scope="session")
def model() -> Iterator[LanguageModel]:
    model = LanguageModel(Bundle.load(STARTER_BUNDLE), Settings(threads=1))
    yield model
    model.close()
