"""What all request bodies have in common."""

from typing import ClassVar

from pydantic import BaseModel

from service.http.body.list_limits import Lists


class RequestBody(BaseModel):
    """A body whose `lists` are counted before it is validated."""

    lists: ClassVar[Lists] = {}
