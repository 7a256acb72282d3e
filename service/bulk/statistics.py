"""Statistics of a job: totals of the scores, problems by kind, and figures for percentiles."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from service.bulk.document import Document
from service.results.calibration import Histogram
from service.results.text_score import TextScore
from service.scoring import Totals, oov_warning


@dataclass
class Statistics:
    """Counts over all documents. Cross-entropies are in nats."""

    documents: int = 0
    totals: Totals = field(default_factory=Totals)
    problems: Counter[str] = field(default_factory=Counter)
    histogram: Histogram = field(default_factory=Histogram)

    def add(self, score: TextScore) -> None:
        self.documents += 1
        self.totals.add(score.totals)
        self.histogram.add(score.totals.mean_nats)

    def count_problem(self, document: Document) -> None:
        assert document.problem is not None
        self.problems[document.problem.kind] += 1

    def merge(self, other: "Statistics") -> None:
        self.documents += other.documents
        self.totals.add(other.totals)
        self.problems.update(other.problems)
        self.histogram.bins.update(other.histogram.bins)

    def to_json(self) -> dict[str, Any]:
        """Return values that JSON can hold; `from_json` restores every float exactly."""
        return {
            "documents": self.documents,
            "totals": asdict(self.totals),
            "problems": dict(self.problems),
            "histogram": sorted(self.histogram.bins.items()),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        histogram = Histogram(Counter(dict(values["histogram"])))
        return cls(
            values["documents"], Totals(**values["totals"]), Counter(values["problems"]), histogram
        )

    def summary(self, unit: str) -> dict[str, Any]:
        """Return the summary of a job: the counts, and the aggregates over all documents in `unit`.

        It has a `note` if the share of unknown words makes the perplexity misleading.
        """
        # The <eos> of each document is not a word. A line end inside a document counts as a word
        # here, which makes the share of unknown words slightly smaller.
        note = oov_warning(self.totals.oov_tokens, self.totals.tokens - self.documents)
        summary = {
            "documents": self.documents,
            "problems": dict(sorted(self.problems.items())),
            "unit": unit,
            **self.totals.figures(unit),
        }
        return summary if note is None else {**summary, "note": note}
