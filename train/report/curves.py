"""Plots of perplexity during training, as PNG, in colours for the colour-blind."""

import io
import math
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter

from train.report.metrics import Line
from train.runtime.atomic import write_file

# Okabe & Ito 2008, without yellow, which is hard to see on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # eight, so that 56 runs differ in one or both

LARGEST = 1e100  # of a diverging run; beyond about 1e300 the margins of the axis overflow


def minutes(lines: list[Line]) -> list[float]:
    """Return the minutes of the run at each line."""
    return [line["seconds"] / 60 for line in lines]


def tokens(lines: list[Line]) -> list[float]:
    """Return the tokens trained on until each line. Evaluations do not count."""
    return list(accumulate(float(line.get("tokens", 0)) for line in lines))


def perplexity_plot(
    runs: dict[str, list[Line]], over: Callable[[list[Line]], list[float]]
) -> bytes:
    """Return a PNG with a colour per run, a thin line for training and marked points for
    validation.

    `over` is the horizontal axis, `minutes` or `tokens`. The axis of perplexities ends slightly
    above the highest validation. Otherwise the first hundred steps, which fall from the size of the
    vocabulary, would take most of the picture.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    lowest, highest = math.inf, 0.0
    for index, lines in enumerate(runs.values()):
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        for kind, style in (
            ("train", {"linewidth": 0.8, "alpha": 0.6}),
            ("validation", {"linewidth": 1.6, "marker": marker, "markersize": 5}),
        ):
            points = [
                (x, min(line["perplexity"], LARGEST))
                for x, line in zip(over(lines), lines, strict=True)
                if line["kind"] == kind
            ]
            axes.plot([x for x, _ in points], [y for _, y in points], color=colour, **style)
            lowest = min([lowest, *(y for _, y in points)])
            if kind == "validation":
                highest = max([highest, *(y for _, y in points)])
    axes.set(xlabel=over.__name__, ylabel="perplexity", yscale="log")
    if highest:
        axes.set_ylim(0.95 * lowest, 1.25 * highest)
    if over is tokens:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.2, 1.5, 2, 3, 4, 5, 7)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    axes.legend(handles=_legend(list(runs)))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def draw_learning_curve(lines: list[Line], name: str, path: Path) -> None:
    """Write a plot of one run's perplexity over minutes. Raises OSError."""
    write_file(path, perplexity_plot({name: lines}, minutes))


def _legend(names: list[str]) -> list[Line2D]:
    runs = [
        Line2D(
            [], [], color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)], label=name
        )
        for i, name in enumerate(names)
    ]
    grey = "0.4"
    return [
        *runs,
        Line2D([], [], color=grey, linewidth=1.6, marker="o", label="validation"),
        Line2D([], [], color=grey, linewidth=0.8, alpha=0.6, label="training"),
    ]
