"""The page of benchmark results in Markdown."""

import platform
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.programs.benchmarks.in_process import BATCH, STEPS
from tests.programs.benchmarks.random_model import CONFIG, VOCABULARY

# Above this share of its core, the generator was the limit.
BUSY = 0.9


@dataclass
class Http:
    """One HTTP measurement: latencies in milliseconds, and the `cores` that the server used.

    `step` is the engine's time for a request of a single step, in milliseconds, by the metrics.
    """

    requests_per_second: float
    tokens_per_second: float
    tokens: int
    p50: float
    p95: float
    p99: float
    errors: int
    generator_cpu: float
    cores: float
    cpu: float
    memory: int
    step: float


@dataclass
class Results:
    cores: int
    source: str
    peak: dict[str, float] = field(default_factory=dict)
    in_process: dict[str, dict[str, float]] = field(default_factory=dict)
    http: dict[str, Http] = field(default_factory=dict)


def operations() -> tuple[int, int]:
    """Return the operations per token of encoder and decoder; a multiply-add counts as two."""
    width = CONFIG.model.embedding_size
    return CONFIG.model.layers * 2 * 4 * width * 2 * width, 2 * width * VOCABULARY


TITLE = "# Benchmarks"


def markdown(results: Results) -> str:
    parts = [_head(results), _in_process(results), _http(results), _ratios(results)]
    return "\n".join(parts)


def _head(results: Results) -> str:
    size = f"{CONFIG.model.layers} × {CONFIG.model.embedding_size} with {VOCABULARY:,} words"
    return f"""{TITLE}

`make bench`, {time.strftime("%Y-%m-%d", time.gmtime())}: {_processor()}, {results.cores} cores,
Python {platform.python_version()}. The model is {size} and random weights;
sentences: {results.source}. All figures are from one run. The ratios
carry over to other machines, the absolute figures do not.
"""


def _in_process(results: Results) -> str:
    cores = results.cores
    rows = [
        "## In process",
        "",
        "| | float32 | int8 | int8 ÷ float32 |",
        "|---|---|---|---|",
    ]

    def row(name: str, values: dict[str, float], form: str) -> None:
        ratio = values["int8"] / values["float32"]
        cells = [format(values[p], form) for p in ("float32", "int8")]
        rows.append(f"| {name} | {cells[0]} | {cells[1]} | {ratio:.2f} |")

    encoder, decoder = operations()
    tokens = BATCH * STEPS
    figures = results.in_process
    row("GEMM peak, all cores, G(FL)OP/s", {p: x / 1e9 for p, x in results.peak.items()}, ",.0f")
    for stage, count in (("encode", encoder), ("decode", decoder)):
        speed = {p: tokens * count / f[stage] / 1e9 for p, f in figures.items()}
        row(f"{stage}, {BATCH} × {STEPS} tokens, a core, G(FL)OP/s", speed, ",.0f")
    row(
        "one step, encoder and decoder, ms", {p: f["step"] * 1e3 for p, f in figures.items()}, ".3f"
    )
    for threads in sorted({1, cores}):
        speed = {p: f[f"tokens_per_second_{threads}"] for p, f in figures.items()}
        row(f"scoring sentences, ids ready, {threads} workers, tokens/s", speed, ",.0f")
    limit = {p: x / (encoder + decoder) for p, x in results.peak.items()}
    row("limit by the GEMM peak, tokens/s", limit, ",.0f")
    share = {p: figures[p][f"tokens_per_second_{cores}"] / limit[p] for p in figures}
    row("scoring ÷ limit by the GEMM peak", share, ".2f")
    return "\n".join([*rows, ""])


def _http(results: Results) -> str:
    rows = [
        "## Over HTTP, int8",
        "",
        "Errors are 429s: /score waits up to 10 s in line, /next-token up to 1 s. These clients",
        "ignore `Retry-After` and retry at once.",
        "",
        "| | requests/s | tokens/s | p50 ms | p95 ms | p99 ms | cores | generator | MB | errors |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, http in results.http.items():
        generator = f"{http.generator_cpu:.2f}" + (" **the limit**" * (http.generator_cpu > BUSY))
        rows.append(
            f"| {name} | {http.requests_per_second:,.0f} | {http.tokens_per_second:,.0f} "
            f"| {http.p50:.2f} | {http.p95:.2f} | {http.p99:.2f} | {http.cores:.2f} "
            f"| {generator} | {http.memory / 1e6:,.0f} | {http.errors} |"
        )
    return "\n".join([*rows, ""])


def _ratios(results: Results) -> str:
    cores = results.cores
    own = results.in_process["int8"]
    reference = own[f"tokens_per_cpu_second_{cores}"]

    def efficiency(name: str) -> float:
        http = results.http[name]
        return http.tokens / http.cpu / reference

    single, many = (
        "/score, 1 sentence, 64 clients",
        "/score, 64 sentences, tokens: false, 8 clients",
    )
    torch = results.http["FastAPI + torch eager, /score, 64 clients"]
    bare = results.http["bare FastAPI, /next-token with a state, 1 client"].p50
    step = own["step"] * 1e3
    keystroke = results.http["/next-token, a state and 1 word, 1 client"].p50
    served = results.http["/next-token, a state and 1 word, 1 client"].step
    return f"""## Ratios

| | |
|---|---|
| tokens per CPU second over HTTP ÷ in process, 1 sentence, 64 clients | {efficiency(single):.2f} |
| tokens per CPU second over HTTP ÷ in process, 64 sentences, tokens: false | {
        efficiency(many):.2f} |
| tokens/s over HTTP ÷ FastAPI + torch eager, 64 clients | {
        results.http[single].tokens_per_second / torch.tokens_per_second:.1f} |
| {cores} workers ÷ 1 worker, in process | {own["scaling"]:.2f} |
| /next-token with a state, p50 | {keystroke:.2f} ms |
| bare FastAPI, p50 + 1.5 × one step, repeated in process ({step:.2f} ms) | {
        bare + 1.5 * step:.2f} ms |
| bare FastAPI, p50 + 1.5 × one step, as served ({served:.2f} ms) | {bare + 1.5 * served:.2f} ms |
"""


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
