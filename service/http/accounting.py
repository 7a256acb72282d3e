"""How many tokens a request read, for the metrics and for its line in the log."""

from contextvars import ContextVar

from service.runtime.metrics import Metrics

read_tokens: ContextVar[list[int]] = ContextVar("read_tokens")


def count_tokens(metrics: Metrics, route: str, tokens: int) -> None:
    metrics.tokens.labels(route).inc(tokens)
    read_tokens.get([]).append(tokens)
