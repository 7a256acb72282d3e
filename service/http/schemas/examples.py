"""Examples of whole objects for the documentation, put together from those of their fields."""

from typing import Any

from pydantic import BaseModel


def example_of(model: type[BaseModel]) -> dict[str, Any]:
    fields = model.model_fields.items()
    return {name: field.examples[0] for name, field in fields if field.examples}
