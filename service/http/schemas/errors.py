"""The one envelope of every error, as OpenAI's clients read it."""

from pydantic import BaseModel, Field

from service.http.schemas.examples import example_of


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
