"""Scored text as one HTML file that needs no other: every token coloured, figures on hover."""

import math
from html import escape

from service.plot.scored import LINE_ENDS, Scored, Token
from service.plot.visible import visible
from service.scoring import NATS_IN

# ColorBrewer's YlOrBr, as on the playground: a step is two bits, four times less probable. By
# lightness alone, so that the colour-blind see the same order.
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


def page(scored: Scored) -> bytes:
    """Return UTF-8. The text stands in it whole; its markup and its control characters are shown
    and never are any.
    """
    steps = "".join(
        f".s{index} {{ background: {colour}; "
        f"color: {'#fff' if index >= LIGHT_TEXT_FROM else '#1e252b'}; }}\n"
        for index, colour in enumerate(COLOURS)
    )
    name, summary = escape(visible(scored.name)), escape(visible(scored.summary))
    note = f'<p class="note">Note: {escape(scored.note)}.</p>\n' if scored.note else ""
    parts = [
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n',
        '<meta name="viewport" content="width=device-width">\n',
        f"<title>Surprisal of {name}</title>\n<style>{STYLE}{steps}</style>\n",
        f"<h1>{name}</h1>\n<p>{summary}</p>\n{note}{_legend(scored.unit)}\n",
        f'<div class="text">{"".join(_tokens(scored))}</div>\n</html>\n',
    ]
    return "".join(parts).encode()


def step(surprisal: float, unit: str) -> int:
    """Which of the colours a surprisal has."""
    bits = surprisal / NATS_IN[unit] / math.log(2)
    return min(len(COLOURS) - 1, max(0, int(bits // STEP_BITS)))


def _legend(unit: str) -> str:
    starts = (index * STEP_BITS * math.log(2) * NATS_IN[unit] for index in range(len(COLOURS)))
    swatches = " ".join(
        f'<span class="s{index}">{start:.3g}</span>' for index, start in enumerate(starts)
    )
    return f'<p class="legend">{swatches} {unit}; dotted: not in the vocabulary</p>'


def _tokens(scored: Scored) -> list[str]:
    text, at = scored.text, 0
    made = ['<div dir="auto">']
    for token in scored.tokens:
        start = max(at, token.start)
        made.append(_shown(text[at:start]))
        at = max(at, token.end)
        made.append(_span(token, text[start:at], scored.unit))
        if text[start:at] and text[start:at] in LINE_ENDS:
            made.append('</div><div dir="auto">')
    return [*made, _shown(text[at:]), "</div>"]


def _shown(text: str) -> str:
    return escape(visible(text, keep_space=True))


def _span(token: Token, surface: str, unit: str) -> str:
    end = surface in LINE_ENDS
    names = f"s{step(token.surprisal, unit)}{' o' * token.oov}{' e' * end}"
    return (
        f'<span class="{names}" title="{token.surprisal:.2f} {unit}">'
        f"{surface[-1:] if end else _shown(surface)}</span>"
    )
