"""What a job counts on its way: totals of scores, problems by kind, figures for percentiles."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from service.bulk.document import Document
from service.results.calibration import Histogram
from service.results.text_score import TextScore
from service.scoring import Totals, oov_warning


@dataclass
class Statistics:
    documents: int = 0
    totals: Totals = field(default_factory=Totals)
    problems: Counter[str] = field(default_factory=Counter)
    histogram: Histogram = field(default_factory=Histogram)

    def add(self, score: TextScore) -> None:
        self.documents += 1
        self.totals.add(score.totals)
        self.histogram.add(score.totals.mean_nats)

    def refuse(self, record: Document) -> None:
        assert record.problem is not None
        self.problems[record.problem.kind] += 1

    def merge(self, other: "Statistics") -> None:
        self.documents += other.documents
        self.totals.add(other.totals)
        self.problems.update(other.problems)
        self.histogram.bins.update(other.histogram.bins)

    def dump(self) -> dict[str, Any]:
        """As JSON takes it; floats come back as they were."""
        return {
            "documents": self.documents,
            "totals": asdict(self.totals),
            "problems": dict(self.problems),
            "histogram": sorted(self.histogram.bins.items()),
        }

    @classmethod
    def load(cls, dumped: dict[str, Any]) -> Self:
        histogram = Histogram(Counter(dict(dumped["histogram"])))
        return cls(
            dumped["documents"], Totals(**dumped["totals"]), Counter(dumped["problems"]), histogram
        )

    def summary(self, unit: str) -> dict[str, Any]:
        """For people and programs: the aggregates over all documents, and what was left out; a
        `note` where these figures mislead.
        """
        # Each document has an end, which is no word. An end of a line inside a document counts as
        # a word here, which makes the share of unknown words a little smaller.
        note = oov_warning(self.totals.oov_tokens, self.totals.tokens - self.documents)
        summary = {
            "documents": self.documents,
            "problems": dict(sorted(self.problems.items())),
            "unit": unit,
            **self.totals.figures(unit),
        }
        return summary if note is None else {**summary, "note": note}
