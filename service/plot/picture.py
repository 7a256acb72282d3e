"""Surprisal per token as a picture; needs the extra `plot`."""

import io
from textwrap import wrap

from matplotlib import font_manager, rc_context
from matplotlib.figure import Figure

from service.plot.scored import LINE_ENDS, Scored
from service.plot.visible import visible

LABELS_UP_TO = 60  # tokens whose words can still be read under the axis
MEAN_FROM = 200  # tokens from which a running mean says more than the line
WINDOW = 25
LABEL_CHARACTERS = 24
TITLE_CHARACTERS = 120
# Matplotlib's own has no Chinese, Japanese or Korean; of these what the machine has.
FONTS = ["DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "PingFang SC"]
FONTS += ["Microsoft YaHei", "Arial Unicode MS"]
LINE, MEAN = "#0072B2", "#D55E00"  # Okabe & Ito 2008: the colour-blind tell them apart
DOTS_PER_INCH = 150


def picture(scored: Scored, kind: str) -> bytes:
    """Return a file of a `kind` that matplotlib knows: png, svg."""
    known = {font.name for font in font_manager.fontManager.ttflist}
    with rc_context({"font.family": [name for name in FONTS if name in known]}):
        return _drawn(scored, kind)


def _drawn(scored: Scored, kind: str) -> bytes:
    surprisals = [token.surprisal for token in scored.tokens]
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    few = len(surprisals) <= LABELS_UP_TO
    axes.plot(
        range(len(surprisals)),
        surprisals,
        color=LINE,
        linewidth=1.4 if len(surprisals) < MEAN_FROM else 0.4,
        marker="o" if few else None,
        markersize=4,
    )
    if len(surprisals) >= MEAN_FROM:
        axes.plot(range(len(surprisals)), running_mean(surprisals), color=MEAN, linewidth=1.8)
    if few:
        axes.set_xticks(range(len(surprisals)), labels(scored), rotation=60, ha="right")
    else:
        mean = f"; bold: mean of {WINDOW}" if len(surprisals) >= MEAN_FROM else ""
        axes.set_xlabel(f"token{mean}")
    axes.set_ylabel(f"surprisal, {scored.unit}")
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    axes.set_title(_plain(title_of(scored)), fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    drawn = io.BytesIO()
    figure.savefig(drawn, format=kind, dpi=DOTS_PER_INCH)
    return drawn.getvalue()


def running_mean(values: list[float]) -> list[float]:
    """Of each value and up to WINDOW − 1 before it."""
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    return [
        (sums[end] - sums[max(0, end - WINDOW)]) / min(end, WINDOW)
        for end in range(1, len(values) + 1)
    ]


def title_of(scored: Scored) -> str:
    title = visible(f"{scored.name}: {scored.summary}")
    if scored.note is None:
        return title
    return "\n".join([title, *wrap(f"Note: {scored.note}", TITLE_CHARACTERS)])


def labels(scored: Scored) -> list[str]:
    surfaces = [scored.text[token.start : token.end] for token in scored.tokens]
    words = [
        "↵" if s in LINE_ENDS else visible(s, keep_space=True).strip() or "␣" for s in surfaces
    ]
    cut = [w if len(w) <= LABEL_CHARACTERS else f"{w[: LABEL_CHARACTERS - 1]}…" for w in words]
    return [_plain(word) for word in cut]


def _plain(text: str) -> str:
    """Return `text` without matplotlib's mathematics, which dollars begin."""
    return text.replace("$", r"\$")
