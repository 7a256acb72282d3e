"""The tokens that a request used, for its line in the log."""

from contextvars import ContextVar

read_tokens: ContextVar[list[int]] = ContextVar("read_tokens")


def record_tokens(tokens: int) -> None:
    """Add `tokens` to the log line of the request that this task answers."""
    read_tokens.get([]).append(tokens)
