"""`python -m service.bulk INPUT... --out OUTPUT` and `python -m service.bulk calibrate ...`."""

import gc
import sys
from contextlib import ExitStack
from typing import Any

from service.runtime.packages import require_packages

if __name__ == "__main__":
    require_packages()

import orjson

from service.bulk import ray_executor
from service.bulk.input.files import printable
from service.bulk.job import Job
from service.bulk.job_files import JobFiles
from service.bulk.job_state import locked
from service.bulk.model import load
from service.bulk.options import Options, parse
from service.errors import ServiceError
from service.files.outputs import is_standard_output
from service.runtime.console import print_any_text

# How long a thread may keep the interpreter lock from the workers; Python's default is 5 ms.
SWITCH_SECONDS = 0.0005
COLLECT_EVERY = (50_000, 20, 20)


def main(arguments: list[str] | None = None) -> int:
    print_any_text()
    options: Options | None = None
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        summary = run(options)
    except ServiceError as error:
        print(f"error: {printable(error.message)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        print("error: the reader of a stream closed it before the job was done", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {printable(where)}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"stopped; the same command {_afterwards(options)}", file=sys.stderr)
        return 130
    # Standard output that holds the scores has no place for the summary.
    taken = any(map(is_standard_output, filter(None, (options.out, options.errors))))
    told = (
        orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode()
        if options.json
        else _told(summary)
    )
    print(told, file=sys.stderr if taken else sys.stdout)
    if _all_refused(summary):
        print("error: no document could be scored", file=sys.stderr)
        return 1
    return 0


def _all_refused(summary: dict[str, Any]) -> bool:
    """Return whether there were documents and not one was scored. Empty ones are not refused."""
    return not summary["documents"] and bool(summary["problems"].keys() - {"empty"})


def run(options: Options) -> dict[str, Any]:
    """Return the summary. Raises JobError, OutputError and StartError."""
    with ExitStack() as stack:
        for lock in JobFiles(options.out, options.errors).locks:
            stack.enter_context(locked(lock))
        if options.engine == "ray":
            return ray_executor.run(options)
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


def _told(summary: dict[str, Any]) -> str:
    text = f"{summary['documents']:,} documents, {summary['token_count']:,} tokens"
    if "seconds" in summary:
        text += f"; {summary['seconds']:,.1f} s, {summary['tokens_per_second']:,.0f} tokens/s"
    if summary["perplexity"] is not None:
        text += f"; perplexity {summary['perplexity']:.2f}, {summary['oov_count']:,} unknown"
    if summary["problems"]:
        parts = ", ".join(f"{count:,} {kind}" for kind, count in summary["problems"].items())
        text += f"\nnot scored: {parts}"
    if "note" in summary:
        text += f"\nnote: {summary['note']}"
    return text


def _afterwards(options: Options | None) -> str:
    goes_on = options is not None and options.resumable
    return "goes on from here" if goes_on else "begins again"


if __name__ == "__main__":
    sys.exit(main())
