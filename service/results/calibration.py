"""Percentiles of a reference corpus: how surprising a text is among texts of its kind.

The figure is a whole text's mean cross-entropy per token, in nats, from the prefix token to the
scored `<eos>`. A table belongs to the bundle that made it: figures of two models do not compare.
"""

import json
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import StartError

FORMAT_VERSION: Final = 1
STEPS = 1000  # percentiles stand a tenth apart
# Figures are counted in bins of this width, so that memory does not grow with the corpus.
BIN_NATS = 0.001

Number = TypeVar("Number", float, NDArray[np.floating[Any]])


class Calibration(BaseModel):
    """The file. `percentiles[i]` is the figure that i ÷ 10 per cent of the texts are below."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = FORMAT_VERSION
    bundle: str
    bundle_hash: str
    figure: Literal["mean_cross_entropy"] = "mean_cross_entropy"
    unit: Literal["nats"] = "nats"
    texts: Annotated[int, Field(gt=0)]
    percentiles: Annotated[list[float], Field(min_length=STEPS + 1, max_length=STEPS + 1)]

    def percentile(self, mean_nats: float | None) -> float | None:
        """The share of the reference texts that are less surprising, 0 to 100, interpolated. Where
        many are equally surprising, as lines of a log are, none of them is below another.
        """
        if mean_nats is None:
            return None
        figure, known = _middle(_bin(mean_nats)), self.percentiles
        above = bisect_left(known, figure)  # all before it are smaller
        if above == 0 or above > STEPS:
            return 100 * min(above, STEPS) / STEPS
        step = (figure - known[above - 1]) / (known[above] - known[above - 1])
        return 100 * (above - 1 + step) / STEPS

    @classmethod
    def load(
        cls, path: Path, bundle: str, bundle_hash: str, name: str | None = None
    ) -> "Calibration":
        """Raises StartError for what is no calibration, or that of another bundle. It calls the
        file by its `name`, if it has one.
        """
        called = name or path
        try:
            found = cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise StartError(f"calibration {called}: {error.strerror}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the document"
            raise StartError(f"calibration {called}: {where}: {first['msg']}") from None
        if found.bundle_hash != bundle_hash:
            raise StartError(
                f"calibration {called} was made with the bundle {found.bundle} "
                f"({found.bundle_hash[:16]}), not with {bundle} ({bundle_hash[:16]})"
            )
        return found

    def dumps(self) -> str:
        return json.dumps(self.model_dump(), indent=1) + "\n"


@dataclass
class Histogram:
    """Counts of texts by their mean cross-entropy; those of parts of a corpus add up."""

    bins: Counter[int] = field(default_factory=Counter)

    def add(self, mean_nats: float | None) -> None:
        if mean_nats is not None:
            self.bins[_bin(mean_nats)] += 1

    def calibration(self, bundle: str, bundle_hash: str) -> Calibration:
        """To half a thousandth of a nat. Raises StartError where there are no texts."""
        texts = self.bins.total()
        if not texts:
            raise StartError("no text was scored: there is nothing to calibrate with")
        at = np.array(sorted(self.bins))
        below = np.cumsum([self.bins[b] for b in at.tolist()])
        # The k-th smallest of n texts, k from 0, stands at k ÷ (n − 1), as in numpy.percentile.
        ranks = np.linspace(0, texts - 1, STEPS + 1)
        low = at[np.searchsorted(below, np.floor(ranks), side="right")]
        high = at[np.searchsorted(below, np.ceil(ranks), side="right")]
        values = _middle(low + (high - low) * (ranks - np.floor(ranks)))
        return Calibration(
            bundle=bundle, bundle_hash=bundle_hash, texts=texts, percentiles=values.tolist()
        )


def _bin(mean_nats: float) -> int:
    return math.floor(mean_nats / BIN_NATS)


def _middle(bins: Number) -> Number:
    """The figure that stands for all of a bin."""
    return (bins + 0.5) * BIN_NATS


def read_calibrations(
    given: Iterable[str], bundle: str, bundle_hash: str
) -> dict[str, Calibration]:
    """Tables by name, of `NAME=FILE` each. Raises StartError, which names no file: it is read again
    with every bundle that takes another's place, and whoever asked for that reads the reason.
    """
    found = {}
    for entry in given:
        name, equals, file = entry.partition("=")
        if not (name and equals and file):
            raise StartError(f"--calibration (TIEDLM_CALIBRATION): {entry}: write NAME=FILE")
        found[name] = Calibration.load(Path(file), bundle, bundle_hash, name)
    return found
