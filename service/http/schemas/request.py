"""What the native requests have in common. An unknown field is an error: a typo must not pass."""

from typing import Any

from pydantic import BaseModel, ConfigDict

MAX_TOP = 100
# How a state handle looks, for the examples.
HANDLE = "AQ0TrNb1NMgPuweIku5Mta1zQ6IBeCAh1bpICrHiPNLwFfaZ"


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def whole(*examples: dict[str, Any]) -> ConfigDict:
    """Requests that can be sent as they are: examples of all fields at once exclude each other."""
    return ConfigDict(json_schema_extra={"examples": list(examples)})
