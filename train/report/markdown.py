"""Text and tables as Markdown, on which whatever a model wrote stays mere text."""

import re
from collections.abc import Iterable

# CommonMark lets a backslash stand before any ASCII punctuation. These begin something in the
# middle of a line: emphasis, code, links, HTML, entities, table cells, and GitHub's mathematics.
ACTIVE = re.compile(r"[\\`*_\[\]<>&|~$]")
JOINERS = (
    "\u200c\u200d"  # no printable characters, but Persian, Hindi and emoji are spelt with them
)


def escape(text: str) -> str:
    """One line that shows `text`: white space becomes single spaces, control characters �."""
    line = " ".join(text.split())
    shown = "".join(c if c.isprintable() or c in JOINERS else "\ufffd" for c in line)
    return ACTIVE.sub(r"\\\g<0>", shown)


def table(head: Iterable[str], rows: Iterable[Iterable[str]], numbers: bool = False) -> str:
    """Cells are Markdown already; with `numbers` all columns but the first align to the right."""
    first, *others = head
    rules = ["---", *("---:" if numbers else "---" for _ in others)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ([first, *others], rules, *rows))
