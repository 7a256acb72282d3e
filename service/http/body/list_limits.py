"""Limits of the lists in a request body, checked in the JSON before pydantic builds any object."""

from collections.abc import Mapping
from itertools import chain
from typing import Any, Literal

from service.errors import InputTooLong
from service.limits import ServerLimits

# JSON values of any kind in a body; a request within the other limits has fewer.
MAX_VALUES = 1_000_000

Unit = Literal["texts", "tokens"]
# For each list field, the unit of its entries at each level of nesting.
Lists = Mapping[str, tuple[Unit, ...]]


def max_values(limits: ServerLimits) -> int:
    """Return the largest number of JSON values in a body."""
    return max(MAX_VALUES, 4 * limits.max_request_tokens)


def check_lists(body: Any, lists: Lists, limits: ServerLimits) -> None:
    """Raise InputTooLong, which names the field. pydantic checks everything else."""
    if not isinstance(body, dict):
        return
    limit_of = {"texts": limits.max_texts, "tokens": limits.max_request_tokens}
    for field, units in lists.items():
        entries = body.get(field)
        if not isinstance(entries, list):
            continue
        for unit in units[-1:] if _are_ids(entries) else units:
            limit = limit_of[unit]
            if len(entries) > limit:
                raise InputTooLong(
                    f"too many {unit} in {field}: {len(entries)} (at most {limit})", field
                )
            inner = (entry for entry in entries if isinstance(entry, list))
            entries = list(chain.from_iterable(inner))


def _are_ids(entries: list[Any]) -> bool:
    """Return whether a list of texts or ids holds ids."""
    return bool(entries) and isinstance(entries[0], int)
