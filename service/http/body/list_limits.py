"""How many entries a request's lists may have: counted in the JSON, before any model is built."""

from collections.abc import Mapping
from itertools import chain
from typing import Any, Literal

from service.errors import InputTooLong
from service.limits import ServerLimits

# Values of a body, whatever they are: more than any request within the other limits has.
MAX_VALUES = 1_000_000

Unit = Literal["texts", "tokens"]
# The list fields of a request, and what their entries are, level by level.
Lists = Mapping[str, tuple[Unit, ...]]


def max_values(limits: ServerLimits) -> int:
    """Return how many values a body may hold."""
    return max(MAX_VALUES, 4 * limits.max_request_tokens)


def check_lists(body: Any, lists: Lists, limits: ServerLimits) -> None:
    """Raises InputTooLong, which names the field. Any other fault is left to the model."""
    if not isinstance(body, dict):
        return
    most = {"texts": limits.max_texts, "tokens": limits.max_request_tokens}
    for field, units in lists.items():
        entries = body.get(field)
        if not isinstance(entries, list):
            continue
        for unit in units[-1:] if _are_ids(entries) else units:
            if len(entries) > most[unit]:
                raise InputTooLong(
                    f"{len(entries)} {unit} in {field}; at most {most[unit]} are allowed", field
                )
            inner = (entry for entry in entries if isinstance(entry, list))
            entries = list(chain.from_iterable(inner))


def _are_ids(entries: list[Any]) -> bool:
    """Whether a list that may hold texts or ids holds ids."""
    return bool(entries) and isinstance(entries[0], int)
