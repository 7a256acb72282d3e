"""What the native requests have in common. An unknown field is an error: a typo must not pass."""

from typing import Any

from pydantic import ConfigDict, model_validator

from service.http.schemas.body import RequestBody

MAX_TOP = 100
LARGEST_INTEGER = 2**31 - 1  # of what no vocabulary, text or answer comes near
MOST_FIELDS = 100
# How a state handle looks, for the examples.
HANDLE = "AQ0TrNb1NMgPuweIku5Mta1zQ6IBeCAh1bpICrHiPNLwFfaZ"


class Request(RequestBody):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, given: Any) -> Any:
        """Each that is unknown would be an error of its own."""
        if isinstance(given, dict) and len(given) > MOST_FIELDS:
            raise ValueError(f"{len(given)} fields; there are not so many")
        return given


def whole(*examples: dict[str, Any]) -> ConfigDict:
    """Requests that can be sent as they are: examples of all fields at once exclude each other."""
    return ConfigDict(json_schema_extra={"examples": list(examples)})
