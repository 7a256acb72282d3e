"""`python -m service.bulk INPUT... --out OUTPUT` and `python -m service.bulk calibrate ...`."""

import gc
import sys
from contextlib import ExitStack
from typing import Any

from service.runtime.startup import require_packages

if __name__ == "__main__":
    require_packages()

import orjson

from service.bulk import ray_executor
from service.bulk.command_line import parse
from service.bulk.input.files import printable
from service.bulk.job import Job
from service.bulk.options import JobOptions, ScoringOptions
from service.bulk.resume.job_files import JobFiles
from service.bulk.resume.lock import lock_file
from service.bulk.scorer import load_model
from service.errors import ServiceError
from service.files.streams import is_standard_output
from service.runtime.startup import print_any_text

# The longest time that a thread keeps the interpreter lock from the workers; Python's default is
# 5 ms.
SWITCH_SECONDS = 0.0005
GC_THRESHOLDS = (50_000, 20, 20)


def main(arguments: list[str] | None = None) -> int:
    print_any_text()
    options: JobOptions | None = None
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
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {printable(place)}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        continues = options is not None and options.resumable
        effect = "continues from this point" if continues else "begins again"
        print(f"stopped; the same command {effect}", file=sys.stderr)
        return 130
    # The summary must not be mixed with scores on standard output.
    is_taken = any(map(is_standard_output, filter(None, (options.out, options.errors))))
    text = (
        orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode()
        if options.json
        else _format_summary(summary)
    )
    print(text, file=sys.stderr if is_taken else sys.stdout)
    if _all_refused(summary):
        print("error: no document could be scored", file=sys.stderr)
        return 1
    return 0


def run(options: JobOptions) -> dict[str, Any]:
    """Return the summary of a job. Raises JobError, OutputError and StartError."""
    with ExitStack() as stack:
        for path in JobFiles(options.out, options.errors).locks:
            stack.enter_context(lock_file(path))
        if isinstance(options, ScoringOptions) and options.engine == "ray":
            return ray_executor.run(options)
        model = load_model(options.bundle, options.threads)
        tune_interpreter()
        try:
            job = Job(model, options)
            job.prepare()
            return job.run()
        finally:
            model.close()


def tune_interpreter() -> None:
    """Set the interpreter up for workers that need its lock soon, and a heap that stays.

    Objects that exist at the start are excluded from garbage collection.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _all_refused(summary: dict[str, Any]) -> bool:
    """Return whether every document had a problem, and one of them was not just empty."""
    return not summary["documents"] and bool(summary["problems"].keys() - {"empty"})


def _format_summary(summary: dict[str, Any]) -> str:
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


if __name__ == "__main__":
    sys.exit(main())
