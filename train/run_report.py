"""The final figures of a run: the content of `report.json`."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from train.errors import CheckpointError, describe_errors

BySplit = dict[str, float]  # "valid", "test"


class SplitCounts(BaseModel):
    """The size of a split. `characters` and `bytes` are those of its lines, without line ends."""

    model_config = ConfigDict(frozen=True)

    tokens: int
    lines: int
    unknown: int
    characters: int
    bytes: int


class RunReport(BaseModel):
    """`report.json`, field by field. Unknown fields of later versions are kept.

    `finished` is the date, or None for the figures so far of an unfinished run. `cut_short` is true
    if `train.max_steps` ended the last epoch. `perplexity` and `bits_per_byte` carry the state
    through a split; `perplexity_by_sentence` starts each line from the zero state. Reports of early
    versions lack the fields that have a default here.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    parameters: int
    vocabulary_size: int
    epochs: int
    steps: int = 0
    cut_short: bool = False
    minutes: float
    tokens_per_second: int
    finished: str | None
    splits: dict[str, SplitCounts] = {}
    perplexity: BySplit = {}
    perplexity_by_sentence: BySplit = {}
    bits_per_byte: BySplit = {}

    @classmethod
    def from_json(cls, content: bytes, source: str) -> "RunReport":
        """Parse the content of the file `source`.

        Raises CheckpointError that names the fields which are missing or wrong.
        """
        try:
            document = json.loads(content)
        except ValueError:
            raise CheckpointError(f"{source} is not JSON") from None
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise CheckpointError(
                f"{source} is not the report of a run: {describe_errors(error)}"
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that the file has, in their order."""
        return self.model_dump(exclude_unset=True)

    def to_json(self) -> bytes:
        return (json.dumps(self.to_dict(), indent=2) + "\n").encode()
