"""A line chart of the surprisal per token. It needs matplotlib, the extra `plot`."""

import io
from textwrap import wrap

from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from service.plot.display_text import LINE_ENDS, NEWLINE_SYMBOL, SPACE_SYMBOL, make_visible
from service.plot.scored_text import ScoredText

MAX_LABELLED_TOKENS = 60  # more labels are not readable under the axis
MIN_AVERAGED_TOKENS = 200  # from here on, a running mean is easier to read than the line
WINDOW = 25  # tokens of the running mean
LABEL_CHARACTERS = 24
TITLE_CHARACTERS = 120
# Matplotlib's own font has no Chinese, Japanese or Korean. The installed ones of these are used.
FONTS = ["DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "PingFang SC"]
FONTS += ["Microsoft YaHei", "Arial Unicode MS"]
# Okabe & Ito 2008: colour-blind readers can tell them apart.
LINE_COLOUR, MEAN_COLOUR = "#0072B2", "#D55E00"
DOTS_PER_INCH = 150


def render_chart(scored: ScoredText, file_format: str) -> bytes:
    """Return a file in a format of matplotlib, such as png or svg."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    with rc_context({"font.family": [name for name in FONTS if name in installed]}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        axes = figure.subplots()
        _draw_surprisals(axes, scored)
        axes.set_ylabel(f"surprisal, {scored.unit}")
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
        axes.set_title(_escape_dollars(chart_title(scored)), fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        content = io.BytesIO()
        figure.savefig(content, format=file_format, dpi=DOTS_PER_INCH)
        return content.getvalue()


def _draw_surprisals(axes: Axes, scored: ScoredText) -> None:
    surprisals = [token.surprisal for token in scored.tokens]
    positions = range(len(surprisals))
    is_labelled = len(surprisals) <= MAX_LABELLED_TOKENS
    has_mean = len(surprisals) >= MIN_AVERAGED_TOKENS
    axes.plot(
        positions,
        surprisals,
        color=LINE_COLOUR,
        linewidth=0.4 if has_mean else 1.4,
        marker="o" if is_labelled else None,
        markersize=4,
    )
    if has_mean:
        axes.plot(positions, running_mean(surprisals), color=MEAN_COLOUR, linewidth=1.8)
    if is_labelled:
        axes.set_xticks(positions, token_labels(scored), rotation=60, ha="right")
    else:
        axes.set_xlabel(f"token; bold: mean of {WINDOW}" if has_mean else "token")


def running_mean(values: list[float]) -> list[float]:
    """Return the mean of each value and up to WINDOW − 1 values before it."""
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    return [
        (sums[end] - sums[max(0, end - WINDOW)]) / min(end, WINDOW)
        for end in range(1, len(values) + 1)
    ]


def chart_title(scored: ScoredText) -> str:
    """Return file name, summary and note."""
    title = make_visible(f"{scored.name}: {scored.summary}")
    if scored.note is None:
        return title
    return "\n".join([title, *wrap(f"Note: {scored.note}", TITLE_CHARACTERS)])


def token_labels(scored: ScoredText) -> list[str]:
    """Return a label per token, truncated to LABEL_CHARACTERS."""
    return [
        _escape_dollars(_label(scored.text[token.start : token.end])) for token in scored.tokens
    ]


def _label(surface: str) -> str:
    if surface in LINE_ENDS:
        return NEWLINE_SYMBOL
    label = make_visible(surface, keep_space=True).strip() or SPACE_SYMBOL
    if len(label) <= LABEL_CHARACTERS:
        return label
    return f"{label[: LABEL_CHARACTERS - 1]}…"


def _escape_dollars(text: str) -> str:
    """Return `text` with escaped dollars, because matplotlib parses math between dollars."""
    return text.replace("$", r"\$")
