"""Text that can be written as Unicode."""

from typing import Annotated

from pydantic import AfterValidator


def _unicode(text: str) -> str:
    """JSON can escape half of a surrogate pair alone, which no encoding of Unicode can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate is not Unicode text") from None
    return text


Text = Annotated[str, AfterValidator(_unicode)]
