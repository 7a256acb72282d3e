"""Types and base classes that the schemas of all routes share."""

from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from service.http.body.list_limits import Lists
from service.limits import MAX_FIELDS

T = TypeVar("T")

# Validation of a list stops at its first wrong entry, because reporting a million wrong entries
# takes seconds and gigabytes.
FailFastList = Annotated[list[T], Field(fail_fast=True)]

# A made-up state handle for the examples.
EXAMPLE_STATE = "AQ0TrNb1NMgPuweIku5Mta1zQ6IBeCAh1bpICrHiPNLwFfaZ"


def _check_unicode(text: str) -> str:
    """Raise ValueError for half of a surrogate pair: JSON can escape it, UTF-8 cannot encode it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate is not Unicode text") from None
    return text


UnicodeStr = Annotated[str, AfterValidator(_check_unicode)]


class RequestBody(BaseModel):
    """A request body. The entries of the fields in `lists` are counted before validation."""

    lists: ClassVar[Lists] = {}


class StrictRequest(RequestBody):
    """A body of a native route. An unknown field is an error, so that a typo is found."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _limit_fields(cls, body: Any) -> Any:
        """Raise one error for a body of many fields, because each unknown one is an error too."""
        if isinstance(body, dict) and len(body) > MAX_FIELDS:
            raise ValueError(f"too many fields: {len(body)} (at most {MAX_FIELDS})")
        return body


def with_examples(*examples: dict[str, Any]) -> ConfigDict:
    """Return a configuration with whole request bodies as examples for the documentation.

    Bodies put together from the examples of all fields would be invalid, because some fields
    exclude each other.
    """
    return ConfigDict(json_schema_extra={"examples": list(examples)})


def example_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return an example of a whole object, put together from the examples of its fields."""
    fields = model.model_fields.items()
    return {name: field.examples[0] for name, field in fields if field.examples}


class ErrorDetail(BaseModel):
    message: str = Field(
        description="What was wrong, where, and what is allowed. Never the text that was sent.",
        examples=["ids are 0 to 13999"],
    )
    type: str = Field(
        description="The error's family, as OpenAI's clients sort them.",
        examples=["invalid_request_error"],
    )
    param: str | None = Field(
        description="Path of the field that was wrong.", examples=["token_ids.0.3"]
    )
    code: str = Field(description="The error's name, for programs.", examples=["unknown_token"])


class ErrorEnvelope(BaseModel):
    error: ErrorDetail = Field(description="What went wrong.", examples=[example_of(ErrorDetail)])
