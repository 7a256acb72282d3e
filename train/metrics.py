"""What a run measured, as JSON lines for machines and a learning curve for people."""

import io
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from train.atomic import write_file


class MetricsLog:
    """JSON objects, one a line. Lines past `step` are dropped: a resumed run writes them anew."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [line for line in read_metrics(path) if line["step"] <= step]
        write_file(path, b"".join(json.dumps(line).encode() + b"\n" for line in kept))

    def write(self, **figures: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines; a last line cut by a kill is left out."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def draw_learning_curve(metrics: list[dict[str, Any]], title: str, path: Path) -> None:
    """Perplexity over minutes, training and validation, as a PNG."""
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for kind, style in (("train", "-"), ("validation", "o-")):
        points = [line for line in metrics if line["kind"] == kind]
        minutes = [line["seconds"] / 60 for line in points]
        axes.plot(minutes, [line["perplexity"] for line in points], style, label=kind)
    axes.set(title=title, xlabel="minutes", ylabel="perplexity", yscale="log")
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    pyplot.close(figure)
    write_file(path, buffer.getvalue())
