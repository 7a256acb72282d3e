"""Lists of requests. The first wrong entry is the error: one for each of a million takes seconds
and gigabytes to say.
"""

from typing import Annotated, TypeVar

from pydantic import Field

T = TypeVar("T")

Several = Annotated[list[T], Field(fail_fast=True)]
