"""Limits: what a request, a bundle or a key may hold, and the checks that several layers share."""

import math
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass

from service.arrays import Priority
from service.errors import InputTooLong, InvalidRequest

# For estimates before tokenizing: an English word takes 5 to 6 bytes of JSON, a subword 3 to 4.
BYTES_PER_TOKEN = 4

# Whole requests.
MAX_FIELDS = 100  # of a request body; no route has half as many
MAX_INTEGER = 2**31 - 1  # beyond every vocabulary, text and result
MAX_TOP_TOKENS = 1_000_000  # tokens × (1 + top)
MAX_CACHE_POSITIONS = 100_000  # 45 MB for a model 448 wide

# Single fields.
MAX_TOP = 100  # alternatives of a scored token
MAX_CACHE_WINDOW = 10_000  # positions
MAX_CACHE_THETA = 100
MAX_CANDIDATES = 1000  # of a request to /next-token
MAX_CANDIDATE_LENGTH = 1000  # characters
MAX_CHOICES = 128  # for each prompt
MAX_PROMPT_LOGPROBS = 20
MAX_STOPS = 16
MAX_TEMPERATURE = 100
MAX_WEIGHT = 1e9  # larger than any recogniser's, and no sum of products is infinite

# Bundles: beyond every vocabulary and recurrent layer, and within what arrays can hold.
MAX_VOCABULARY_SIZE = 2**24
MAX_EMBEDDING_SIZE = 2**20
MAX_STATE_SIZE = 2**24
MAX_PARAMETERS = 2**48
MAX_MANIFEST_BYTES = 16 << 20  # a model card with the report of a long training takes kilobytes
# The times by which a tokenizer may lengthen a text; Unicode's normal forms reach 18.
MAX_TOKENIZER_GROWTH = 200

MAX_DOCUMENT_BYTES = 4 << 20  # of a bulk job; --max-document-bytes changes it

MIN_STATE_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class WaitLimits:
    """Seconds of expected waiting beyond which a request is rejected, by priority."""

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


@contextmanager
def name_field(param: str | None) -> Iterator[None]:
    """Add the field `param` to an InputTooLong that names none."""
    try:
        yield
    except InputTooLong as error:
        error.param = error.param or param
        raise


def check_token_count(tokens: int, limit: int) -> None:
    """Raise InputTooLong if `tokens`, counted so far, exceed the limit of a request."""
    if tokens > limit:
        raise InputTooLong(f"too many tokens in the request (at most {limit})")


def check_top(tokens: int, top: int) -> None:
    """Raise InputTooLong if `tokens` scored tokens with `top` alternatives each are too many."""
    alternatives = tokens * (1 + top)
    if top and alternatives > MAX_TOP_TOKENS:
        raise InputTooLong(
            f"too many alternatives: tokens × (1 + top) is {alternatives} "
            f"(at most {MAX_TOP_TOKENS})",
            "top",
        )


def check_cache_positions(window: int, texts: Sequence[Sized]) -> None:
    """Raise InputTooLong if the neural caches of a request would hold too many positions."""
    positions = sum(min(window, len(ids)) for ids in texts)
    if positions > MAX_CACHE_POSITIONS:
        raise InputTooLong(
            f"too many cache positions: min(window, tokens), summed over the texts, is {positions} "
            f"(at most {MAX_CACHE_POSITIONS})",
            "cache",
        )


def check_targets(
    targets: Sequence[Sized], texts: Sequence[Sized], has_prefix: Sequence[bool]
) -> None:
    """Raise InvalidRequest unless each scored position of each text has one distribution. The first
    position of a text is scored only if `has_prefix`.
    """
    if len(targets) != len(texts):
        raise InvalidRequest(f"targets for {len(targets)} of {len(texts)} texts", "targets")
    for index, (distributions, ids) in enumerate(zip(targets, texts, strict=True)):
        positions = len(ids) if has_prefix[index] else max(0, len(ids) - 1)
        if len(distributions) != positions:
            raise InvalidRequest(
                f"{len(distributions)} distributions for {positions} scored positions",
                f"targets.{index}",
            )
