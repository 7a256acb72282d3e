"""What a request may ask at most, where it is the same for every server."""

import math
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass

from service.arrays import Priority
from service.errors import InputTooLong, InvalidRequest

MAX_FIELDS = 100  # of a request body; no route has half as many
MAX_INTEGER = 2**31 - 1  # beyond every vocabulary, text and result
MAX_TOP = 100  # alternatives of a scored token
MAX_TOP_TOKENS = 1_000_000
MAX_CACHE_POSITIONS = 100_000  # 45 MB of a model 448 wide


@dataclass(frozen=True, slots=True)
class WaitLimits:
    """Seconds of expected waiting beyond which a request is refused, by priority."""

    interactive: float = math.inf
    bulk: float = math.inf

    def of(self, priority: Priority) -> float:
        return self.bulk if priority == "bulk" else self.interactive


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """The limits that the settings of a server choose; `/info` publishes them. Waits and timeouts
    are in seconds.
    """

    max_batch_tokens: int
    max_queue_tokens: int
    max_bulk_wait: float
    max_interactive_wait: float
    max_body_bytes: int
    max_texts: int
    max_request_tokens: int
    request_timeout: float
    client_timeout: float


def check_count(tokens: int, most: int) -> None:
    """Raises InputTooLong."""
    if tokens > most:
        raise InputTooLong(f"the request holds too many tokens; at most {most} are allowed")


@contextmanager
def blamed(param: str | None) -> Iterator[None]:
    """Name the field `param` in an InputTooLong that names none."""
    try:
        yield
    except InputTooLong as error:
        error.param = error.param or param
        raise


def check_top(scored: int, top: int) -> None:
    """Raises InputTooLong for more alternatives than so many scored tokens may have."""
    if top and scored * (1 + top) > MAX_TOP_TOKENS:
        raise InputTooLong(
            f"tokens × (1 + top) is {scored * (1 + top)}; at most {MAX_TOP_TOKENS} is allowed",
            "top",
        )


def check_positions(window: int, texts: Sequence[Sized]) -> None:
    """Raises InputTooLong for more than the caches of a request may remember."""
    positions = sum(min(window, len(ids)) for ids in texts)
    if positions > MAX_CACHE_POSITIONS:
        raise InputTooLong(
            f"min(window, tokens), summed over the texts, is {positions}; "
            f"at most {MAX_CACHE_POSITIONS} is allowed",
            "cache",
        )


def check_targets(targets: Sequence[Sized], texts: Sequence[Sized], begun: Sequence[bool]) -> None:
    """Raises InvalidRequest unless every scored position has its distribution: a first one is
    scored where the text was begun before it.
    """
    if len(targets) != len(texts):
        raise InvalidRequest(f"targets for {len(targets)} of {len(texts)} texts", "targets")
    for index, (wanted, ids) in enumerate(zip(targets, texts, strict=True)):
        positions = len(ids) if begun[index] else max(0, len(ids) - 1)
        if len(wanted) != positions:
            raise InvalidRequest(
                f"{len(wanted)} distributions for {positions} scored positions", f"targets.{index}"
            )


# Limits of single fields.
MAX_CACHE_WINDOW = 10_000  # positions
MAX_CACHE_THETA = 100
MAX_CANDIDATES = 1000  # of a request to /next-token
MAX_CANDIDATE_LENGTH = 1000  # characters
MAX_CHOICES = 128  # for each prompt
MAX_PROMPT_LOGPROBS = 20
MAX_STOPS = 16
MAX_TEMPERATURE = 100
MAX_WEIGHT = 1e9  # larger than any recogniser's, and no sum of products is infinite
