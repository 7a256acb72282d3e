"""Scored text as one self-contained HTML file: coloured tokens with their surprisal on hover."""

import math
from html import escape

from service.plot.display_text import LINE_ENDS, make_visible
from service.plot.scored_text import ScoredText, Token
from service.scoring import NATS_IN

# ColorBrewer's YlOrBr, as in the playground. Each step is two bits: four times less probable. The
# colours differ in lightness, so that colour-blind readers see the same order.
COLOURS = (
    *("#fffdf0", "#fff7c9", "#fee89c", "#fed36a", "#feb540"),
    *("#fb9029", "#c44a02", "#973404", "#662506"),
)
LIGHT_TEXT_FROM = 6
STEP_BITS = 2

STYLE = """
body { margin: 2rem auto; max-width: 60rem; padding: 0 1.5rem; background: #faf8f4; color: #1e252b;
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font: 600 1.5rem/1.2 Georgia, serif; margin-bottom: .2rem; overflow-wrap: anywhere; }
.text { font: 1.15rem/2 Georgia, "Noto Serif", serif; white-space: pre-wrap;
  overflow-wrap: anywhere; background: #fff; border: 1px solid #e3ded4; border-radius: 12px;
  padding: 1rem 1.25rem; }
.text div { content-visibility: auto; contain-intrinsic-size: auto 2.5rem; }
.text span, .legend span { border-radius: 4px; padding: .1em .15em; }
.note { border-left: 4px solid #fb9029; padding-left: .8rem; }
.legend span { padding: .2em .7em; }
.o { text-decoration: underline dotted 2px; }
.e::before { content: "↵"; font-size: .75em; }
"""


def render_html(scored: ScoredText) -> bytes:
    """Return the page in UTF-8. It contains the whole text, with markup and controls escaped."""
    steps = "".join(
        f".s{index} {{ background: {colour}; "
        f"color: {'#fff' if index >= LIGHT_TEXT_FROM else '#1e252b'}; }}\n"
        for index, colour in enumerate(COLOURS)
    )
    name, summary = escape(make_visible(scored.name)), escape(make_visible(scored.summary))
    note = f'<p class="note">Note: {escape(scored.note)}.</p>\n' if scored.note else ""
    parts = [
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n',
        '<meta name="viewport" content="width=device-width">\n',
        f"<title>Surprisal of {name}</title>\n<style>{STYLE}{steps}</style>\n",
        f"<h1>{name}</h1>\n<p>{summary}</p>\n{note}{_legend(scored.unit)}\n",
        f'<div class="text">{"".join(_text_spans(scored))}</div>\n</html>\n',
    ]
    return "".join(parts).encode()


def colour_step(surprisal: float, unit: str) -> int:
    """Return the index in COLOURS of a surprisal."""
    bits = surprisal / NATS_IN[unit] / math.log(2)
    return min(len(COLOURS) - 1, max(0, int(bits // STEP_BITS)))


def _legend(unit: str) -> str:
    starts = (index * STEP_BITS * math.log(2) * NATS_IN[unit] for index in range(len(COLOURS)))
    swatches = " ".join(
        f'<span class="s{index}">{start:.3g}</span>' for index, start in enumerate(starts)
    )
    return f'<p class="legend">{swatches} {unit}; dotted: not in the vocabulary</p>'


def _text_spans(scored: ScoredText) -> list[str]:
    text, position = scored.text, 0
    spans = ['<div dir="auto">']
    for token in scored.tokens:
        start = max(position, token.start)
        spans.append(_escape(text[position:start]))
        position = max(position, token.end)
        spans.append(_span(token, text[start:position], scored.unit))
        if text[start:position] and text[start:position] in LINE_ENDS:
            spans.append('</div><div dir="auto">')
    return [*spans, _escape(text[position:]), "</div>"]


def _escape(text: str) -> str:
    return escape(make_visible(text, keep_space=True))


def _span(token: Token, surface: str, unit: str) -> str:
    is_line_end = surface in LINE_ENDS
    classes = f"s{colour_step(token.surprisal, unit)}{' o' * token.oov}{' e' * is_line_end}"
    return (
        f'<span class="{classes}" title="{token.surprisal:.2f} {unit}">'
        f"{surface[-1:] if is_line_end else _escape(surface)}</span>"
    )
