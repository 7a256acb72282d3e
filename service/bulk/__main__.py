"""`python -m service.bulk INPUT… --out OUTPUT` and `python -m service.bulk calibrate …`."""

import gc
import sys
from typing import Any

import orjson

from service.bulk import ray_engine
from service.bulk.inputs import is_stream, printable
from service.bulk.job import Job, beside
from service.bulk.model import load
from service.bulk.options import Options, parse
from service.bulk.resume import locked
from service.errors import ServiceError

# How long a thread may keep the interpreter lock from the workers; Python's default is 5 ms.
SWITCH_SECONDS = 0.0005
COLLECT_EVERY = (50_000, 20, 20)


def main(arguments: list[str] | None = None) -> int:
    options: Options | None = None
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        summary = run(options)
    except ServiceError as error:
        print(f"error: {printable(error.message)}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {printable(where)}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"stopped; the same command {_afterwards(options)}", file=sys.stderr)
        return 130
    if options.json:
        print(orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode())
    else:
        print(_told(summary))
    return 0


def run(options: Options) -> dict[str, Any]:
    """The summary. Raises JobError and StartError."""
    with locked(beside(options.out, ".lock")):
        if options.engine == "ray":
            return ray_engine.run(options)
        model = load(options.bundle, options.threads)
        take_over_the_process()
        try:
            return Job(model, options).run()
        finally:
            model.close()


def take_over_the_process() -> None:
    """What start-up made stays for good, and the workers want the interpreter lock soon."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)


def _afterwards(options: Options | None) -> str:
    streams = options is None or any(map(is_stream, options.inputs))
    return "begins again" if streams else "goes on from here"


def _told(summary: dict[str, Any]) -> str:
    text = f"{summary['documents']:,} documents, {summary['token_count']:,} tokens"
    if "seconds" in summary:
        text += f"; {summary['seconds']:,.1f} s, {summary['tokens_per_second']:,.0f} tokens/s"
    if summary["perplexity"] is not None:
        text += f"; perplexity {summary['perplexity']:.2f}, {summary['oov_count']:,} unknown"
    if summary["problems"]:
        parts = ", ".join(f"{count:,} {kind}" for kind, count in summary["problems"].items())
        text += f"\nnot scored: {parts}"
    return text


if __name__ == "__main__":
    sys.exit(main())
