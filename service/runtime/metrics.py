"""What the service counts and times, as Prometheus metrics: a leaf that every layer reports to."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TOKENS = (1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
TOKENS_READ = (
    "Tokens scored by /score and /rescore, contexts apart; read by /next-token; read and generated "
    "by /v1/completions"
)
UNKNOWN_TOKENS = "Tokens scored by /score and /rescore that are <unk>"
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1)


class Metrics:
    """One registry a process; times are in seconds, sizes in tokens."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"tiedlm_{name}", text, labels, registry=registry)

        def histogram(
            name: str, text: str, *labels: str, buckets: tuple[float, ...] = SECONDS
        ) -> Histogram:
            return Histogram(f"tiedlm_{name}", text, labels, registry=registry, buckets=buckets)

        self.requests = counter("requests_total", "Requests answered", "route", "status")
        self.request_seconds = histogram("request_seconds", "From first byte to answer", "route")
        self.rejected = counter("rejected_total", "Requests answered with an error", "code")
        self.tokens = counter("tokens_total", TOKENS_READ, "route")
        self.oov_tokens = counter("oov_tokens_total", UNKNOWN_TOKENS)
        self.tokenize_seconds = histogram("tokenize_seconds", "Tokenizing a request's texts")
        self.queue_seconds = histogram("queue_seconds", "Waiting for the first run", "lane")
        self.admission_seconds = histogram(
            "admission_seconds", "Waiting of a bulk request in line, before it is tokenized"
        )
        self.inference_seconds = histogram("inference_seconds", "In onnxruntime, a run", "stage")
        self.batch_tokens = histogram("batch_tokens", "Padded tokens of a run", buckets=TOKENS)
        self.batch_fill_ratio = histogram(
            "batch_fill_ratio", "Real tokens of a run ÷ padded", buckets=RATIOS
        )
        self.queue_tokens = Gauge(
            "tiedlm_queue_tokens", "Tokens waiting", ["lane"], registry=registry
        )
        self.prefix_cache_hits = counter("prefix_cache_hits_total", "Contexts begun from a state")
        self.prefix_cache_misses = counter("prefix_cache_misses_total", "Contexts begun anew")
        self.bundle_info = Gauge(
            "tiedlm_bundle_info",
            "The bundle served",
            ["name", "hash", "precision", "vocabulary_size"],
            registry=registry,
        )

    def page(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)


@contextmanager
def timed(histogram: Histogram) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    histogram.observe(time.perf_counter() - begun)
