"""Calibration: the percentile of a text's mean cross-entropy among texts of a reference corpus.

The figure is the mean over the tokens of a whole text, in nats, from the prefix token to the scored
`<eos>`. A table belongs to the bundle that made it, because figures of two models do not compare.
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

from service.bundle import Bundle
from service.errors import StartError, first_problem

FORMAT_VERSION: Final = 1
STEPS = 1000  # a tenth of a per cent each
# The width of a bin in which texts are counted, so that memory does not grow with the corpus.
BIN_NATS = 0.001

Number = TypeVar("Number", float, NDArray[np.floating[Any]])


class Calibration(BaseModel):
    """The table as its file holds it: i ÷ 10 per cent of the texts are below `percentiles[i]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = FORMAT_VERSION
    bundle: str
    bundle_hash: str
    figure: Literal["mean_cross_entropy"] = "mean_cross_entropy"
    unit: Literal["nats"] = "nats"
    texts: Annotated[int, Field(gt=0)]
    percentiles: Annotated[list[float], Field(min_length=STEPS + 1, max_length=STEPS + 1)]

    def percentile(self, mean_nats: float | None) -> float | None:
        """Return the share of the reference texts with a lower figure, 0 to 100, interpolated.

        Texts with the same figure, such as equal lines of a log, are not below each other.
        """
        if mean_nats is None:
            return None
        figure, table = _middle(_bin(mean_nats)), self.percentiles
        above = bisect_left(table, figure)  # all entries before it are smaller
        if above == 0 or above > STEPS:
            return 100 * min(above, STEPS) / STEPS
        step = (figure - table[above - 1]) / (table[above] - table[above - 1])
        return 100 * (above - 1 + step) / STEPS

    @classmethod
    def load(
        cls, path: Path, bundle: str, bundle_hash: str, name: str | None = None
    ) -> "Calibration":
        """Read a file, which errors call `name` if given.

        Raises StartError if it is not a calibration, or if another bundle made it.
        """
        label = name or path
        try:
            found = cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise StartError(f"calibration {label}: {error.strerror}") from None
        except ValidationError as error:
            problem = first_problem(error.errors())
            raise StartError(f"calibration {label}: {problem.place}: {problem.message}") from None
        if found.bundle_hash != bundle_hash:
            raise StartError(
                f"calibration {label} was made with the bundle {found.bundle} "
                f"({found.bundle_hash[:16]}), not with {bundle} ({bundle_hash[:16]}); "
                "calibrate again with this bundle"
            )
        return found

    def dumps(self) -> str:
        """Return the content of a file."""
        return json.dumps(self.model_dump(), indent=1) + "\n"


@dataclass
class Histogram:
    """Counts of texts by their mean cross-entropy. Histograms of parts of a corpus add up."""

    bins: Counter[int] = field(default_factory=Counter)

    def add(self, mean_nats: float | None) -> None:
        if mean_nats is not None:
            self.bins[_bin(mean_nats)] += 1

    def calibration(self, bundle: str, bundle_hash: str) -> Calibration:
        """Return the table, within BIN_NATS ÷ 2. Raises StartError if no text was counted."""
        texts = self.bins.total()
        if not texts:
            raise StartError("no text was scored: there is nothing to calibrate with")
        at = np.array(sorted(self.bins))
        below = np.cumsum([self.bins[b] for b in at.tolist()])
        # The k-th smallest of n texts, k from 0, is the quantile k ÷ (n − 1): numpy.percentile.
        ranks = np.linspace(0, texts - 1, STEPS + 1)
        low = at[np.searchsorted(below, np.floor(ranks), side="right")]
        high = at[np.searchsorted(below, np.ceil(ranks), side="right")]
        values = _middle(low + (high - low) * (ranks - np.floor(ranks)))
        return Calibration(
            bundle=bundle, bundle_hash=bundle_hash, texts=texts, percentiles=values.tolist()
        )


def read_calibrations(settings: Iterable[str], bundle: Bundle) -> dict[str, Calibration]:
    """Return tables of `bundle` by name, from settings `NAME=FILE`.

    Raises StartError. Its message holds no path, because `/admin/reload` reads the files again and
    responds with the message.
    """
    found = {}
    for entry in settings:
        name, equals, file = entry.partition("=")
        if not (name and equals and file):
            raise StartError(f"--calibration (TIEDLM_CALIBRATION): {entry}: write NAME=FILE")
        found[name] = Calibration.load(Path(file), bundle.manifest.name, bundle.hash, name)
    return found


def _bin(mean_nats: float) -> int:
    return math.floor(mean_nats / BIN_NATS)


def _middle(bins: Number) -> Number:
    """Return the figure that represents a bin."""
    return (bins + 0.5) * BIN_NATS
