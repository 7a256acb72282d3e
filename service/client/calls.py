"""`Call`: a client method's request and the decoder of its response, before anything is sent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request that may be sent several times, because no route changes anything in the service.

    `decode` turns the parsed JSON of a 200 response into the result. `if_unavailable` is the result
    when there is no response or a 429 or 503; None means that the error is raised.
    """

    method: str
    path: str
    body: dict[str, Any] | None
    decode: Callable[[Any], T]
    if_unavailable: T | None = None


def without_none(**fields: Any) -> dict[str, Any]:
    """Return `fields` without those that are None: the service then applies its own defaults."""
    return {name: value for name, value in fields.items() if value is not None}
