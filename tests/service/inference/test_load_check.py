"""Bundles whose graphs compute no probabilities are refused when they are loaded."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.bundle import Bundle
from service.errors import BundleError
from service.inference.engine import OnnxEngine
from service.inference.load_check import check_outputs
from service.language_model import LanguageModel
from service.settings import Settings
from tests.support.bundles import replace
from tests.support.server_process import failure


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "bundle"))


@pytest.fixture
def engine(bundle_path: Path) -> OnnxEngine:
    return OnnxEngine(Bundle.load(bundle_path))


def without_numbers(bundle: Path) -> None:
    """Every float of the weights is NaN, and the manifest knows their hash."""
    replace(bundle, "weights.bin", b"\xff" * (bundle / "weights.bin").stat().st_size)


def test_weights_without_numbers_are_no_model(copy: Path) -> None:
    without_numbers(copy)
    with pytest.raises(BundleError, match="not finite") as found:
        LanguageModel(Bundle.load(copy), Settings(bundle=copy, threads=1))
    assert "\n" not in found.value.message


def test_a_start_with_weights_without_numbers_is_refused(copy: Path) -> None:
    without_numbers(copy)
    assert "not finite" in failure("--bundle", str(copy), "--port", "0")


def test_a_whole_bundle_passes(engine: OnnxEngine) -> None:
    check_outputs(engine)


def first_is_nan(figures: Any) -> Any:
    spoiled = np.array(figures)
    spoiled.flat[-1] = np.nan
    return spoiled


def first_is_infinite(figures: Any) -> Any:
    spoiled = np.array(figures)
    spoiled.flat[0] = np.inf
    return spoiled


SPOILS: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "a NaN of hidden": ("hidden", first_is_nan, "hidden vectors are not finite"),
    "an infinity of state": ("new_state", first_is_infinite, "states are not finite"),
    "a NaN of a distribution": ("log_distribution", first_is_nan, "distributions are not finite"),
    "no distribution": ("log_distribution", lambda rows: rows + 0.1, "sum to 1.10517, not to 1"),
    "too few words": ("log_distribution", lambda rows: rows[:, 1:], "the manifest has"),
    "too few rows": ("log_distribution", lambda rows: rows[1:], "the manifest has"),
    "a NaN of a score": ("logprobs", first_is_nan, "log-probabilities are not finite"),
    "other scores": ("logprobs", lambda found: found - 0.5, "log-probabilities contradict"),
    "a NaN of entropy": ("entropies", first_is_nan, "entropies are not finite"),
    "a rank of 0": ("ranks", lambda ranks: ranks * 0, "ranks"),
    "ids outside": ("top_ids", lambda ids: ids + 10**6, "ids of the vocabulary"),
    "other alternatives": ("top_ids", lambda ids: (ids + 1) % 14_000, "alternatives contradict"),
}


@pytest.mark.parametrize("kind", SPOILS)
def test_figures_that_cannot_be_are_named(engine: OnnxEngine, kind: str) -> None:
    """One output is spoiled on its way out of the graphs."""
    output, spoil, said = SPOILS[kind]

    class Spoiled:
        def __init__(self, session: Any) -> None:
            self._session = session

        def run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
            found = self._session.run(names, feed)
            return [
                spoil(value) if name == output else value
                for name, value in zip(names, found, strict=True)
            ]

    engine._encoder, engine._decoder = Spoiled(engine._encoder), Spoiled(engine._decoder)
    with pytest.raises(BundleError, match=said):
        check_outputs(engine)


def test_finite_weights_beyond_every_model_are_refused(copy: Path) -> None:
    """A few huge weights make a distribution of one word: finite, and it sums to 1."""
    weights = (copy / "weights.bin").read_bytes()
    replace(copy, "weights.bin", weights[:-4000] + np.full(1000, 1e38, np.float32).tobytes())
    with pytest.raises(BundleError, match="damaged"):
        LanguageModel(Bundle.load(copy), Settings(bundle=copy, threads=1))
