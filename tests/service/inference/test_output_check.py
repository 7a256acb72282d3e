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
from service.inference.output_check import check_outputs
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


def fill_with_nan(bundle: Path) -> None:
    """Make every float of the weights NaN, with the right hash in the manifest."""
    replace(bundle, "weights.bin", b"\xff" * (bundle / "weights.bin").stat().st_size)


def test_weights_of_nan_are_refused(copy: Path) -> None:
    fill_with_nan(copy)
    with pytest.raises(BundleError, match="not finite") as found:
        LanguageModel(Bundle.load(copy), Settings(bundle=copy, threads=1))
    assert "\n" not in found.value.message


def test_a_start_with_weights_of_nan_is_refused(copy: Path) -> None:
    fill_with_nan(copy)
    assert "not finite" in failure("--bundle", str(copy), "--port", "0")


def test_an_unchanged_bundle_passes(engine: OnnxEngine) -> None:
    check_outputs(engine)


def with_a_nan(figures: Any) -> Any:
    changed = np.array(figures)
    changed.flat[-1] = np.nan
    return changed


def with_an_infinity(figures: Any) -> Any:
    changed = np.array(figures)
    changed.flat[0] = np.inf
    return changed


CHANGES: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "a NaN of hidden": ("hidden", with_a_nan, "hidden vectors are not finite"),
    "an infinity of state": ("new_state", with_an_infinity, "states are not finite"),
    "a NaN of a distribution": ("log_distribution", with_a_nan, "distributions are not finite"),
    "no distribution": ("log_distribution", lambda rows: rows + 0.1, "sum to 1.10517, not to 1"),
    "too few words": ("log_distribution", lambda rows: rows[:, 1:], "manifest.json requires"),
    "too few rows": ("log_distribution", lambda rows: rows[1:], "manifest.json requires"),
    "a NaN of a score": ("logprobs", with_a_nan, "log-probabilities are not finite"),
    "other scores": ("logprobs", lambda found: found - 0.5, "log-probabilities contradict"),
    "a NaN of entropy": ("entropies", with_a_nan, "entropies are not finite"),
    "a rank of 0": ("ranks", lambda ranks: ranks * 0, "ranks"),
    "ids outside": ("top_ids", lambda ids: ids + 10**6, "ids of the vocabulary"),
    "other alternatives": ("top_ids", lambda ids: (ids + 1) % 14_000, "alternatives contradict"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_impossible_figures_are_named(engine: OnnxEngine, kind: str) -> None:
    """One output of the graphs is changed."""
    output, change, message = CHANGES[kind]

    class ChangedSession:
        def __init__(self, session: Any) -> None:
            self._session = session

        def run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
            found = self._session.run(names, feed)
            return [
                change(value) if name == output else value
                for name, value in zip(names, found, strict=True)
            ]

    engine._encoder, engine._decoder = (
        ChangedSession(engine._encoder),
        ChangedSession(engine._decoder),
    )
    with pytest.raises(BundleError, match=message):
        check_outputs(engine)


def test_huge_finite_weights_are_refused(copy: Path) -> None:
    """A few huge weights make a distribution of one word: finite, and it sums to 1."""
    weights = (copy / "weights.bin").read_bytes()
    replace(copy, "weights.bin", weights[:-4000] + np.full(1000, 1e38, np.float32).tobytes())
    with pytest.raises(BundleError, match="damaged"):
        LanguageModel(Bundle.load(copy), Settings(bundle=copy, threads=1))
