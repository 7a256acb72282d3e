"""Every response to generated requests conforms to the OpenAPI document."""

from tests.programs.fuzz.__main__ import fuzz


def test_every_answer_is_as_documented(url: str) -> None:
    sent, failure = fuzz(url, examples=20, seed=1)
    assert failure == ""
    assert sent >= 300
