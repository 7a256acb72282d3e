"""Text and tables as Markdown. Escaped text of a model is shown as it is, without any effect."""

import re
from collections.abc import Iterable

# CommonMark allows a backslash before any ASCII punctuation. These characters have a meaning in the
# middle of a line: emphasis, code, links, HTML, entities, table cells, and GitHub's mathematics.
ACTIVE = re.compile(r"[\\`*_\[\]<>&|~$]")
# Not printable, but Persian, Hindi and emoji are spelt with them.
JOINERS = "\u200c\u200d"


def escape(text: str) -> str:
    """Return one line of Markdown that shows `text`.

    White space becomes single spaces, control characters become �.
    """
    line = " ".join(text.split())
    shown = "".join(c if c.isprintable() or c in JOINERS else "\ufffd" for c in line)
    return ACTIVE.sub(r"\\\g<0>", shown)


def escape_cell(text: str) -> str:
    """Return `text` with `|` and `<` escaped, for the cells of a bundle's card.

    A card shows the examples of its author, so that other Markdown in them is intended.
    """
    return text.replace("|", "\\|").replace("<", "&lt;")


def table(head: Iterable[str], rows: Iterable[Iterable[str]], numbers: bool = False) -> str:
    """Return a table whose cells are Markdown already.

    With `numbers` all columns except the first are aligned to the right.
    """
    first, *others = head
    rules = ["---", *("---:" if numbers else "---" for _ in others)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ([first, *others], rules, *rows))


def compact_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table as the cards have it, whose rule and empty head cells have no spaces."""
    names = list(head)
    top = "".join(f"| {name} " if name else "| " for name in names) + "|"
    body = (f"| {' | '.join(cells)} |" for cells in rows)
    return "\n".join([top, f"|{'---|' * len(names)}", *body])
