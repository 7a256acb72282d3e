"""`--engine ray`: the splits of the inputs through a Ray Data pipeline of actors, each of which
holds one bundle and one core; an autoscaling pool, on one machine or on many that share a disk.

    splits → map_batches(SplitScorer) ⇒ OUTPUT.partial/part-00000.…, one a split → OUTPUT

Every attempt at a split writes its part in a folder of its own and moves it when it is whole, with
its counts beside it. So a worker may die at any moment and its split is scored again, even one that
was only thought dead writes the same bytes to the same place, and a job that was killed goes on
with the parts it lacks.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from service.bulk.formats import ROW_FORMATS
from service.bulk.inputs import is_stream
from service.bulk.job import beside, error_line, lines_sink
from service.bulk.model import bundle_of, load
from service.bulk.options import Options
from service.bulk.progress import Progress
from service.bulk.reading import Reader
from service.bulk.record import Record, blocks
from service.bulk.rendering import renderer
from service.bulk.resume import State, identity, replace
from service.bulk.scorer import Done, score_blocks
from service.bulk.splits import Split, splits
from service.bulk.tally import Tally
from service.bulk.writing import PARTIAL, FileSink, Part, Sink, part_name, remove
from service.errors import JobError
from service.language_model import LanguageModel

ATTEMPT = ".attempt-"


class SplitScorer:
    """An actor: its model is loaded once, and split after split comes to `__call__`."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._model = load(options.bundle, 1)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Of a batch of one split its number and its tokens, when its part is written."""
        split = batch["split"][0]
        tally = asyncio.run(score_split(self._model, self._options, split))
        return {"split": [split.index], "tokens": [tally.totals.tokens]}


async def score_split(model: LanguageModel, options: Options, split: Split) -> Tally:
    """Write a split's part, and its counts and problems beside it. Raises JobError if strict."""
    part, counts = _part(options, split)
    tally, refused = Tally(), list[Record]()
    with TemporaryDirectory(prefix=ATTEMPT, dir=part.parent) as folder:
        own = Path(folder) / part.name
        sink = (
            Part(own, options.columns, model.tokenizer.subword)
            if options.format == "parquet"
            else lines_sink(FileSink(own, 0), options, begun=False)
        )
        with closing(sink):
            await _write(model, options, split, sink, tally, refused)
            sink.finish()
        errors = [error_line(record).decode() for record in refused]
        replace(counts, json.dumps({"tally": tally.dump(), "errors": errors}).encode())
        own.replace(part)
    return tally


async def _write(
    model: LanguageModel,
    options: Options,
    split: Split,
    sink: Sink,
    tally: Tally,
    refused: list[Record],
) -> None:
    async with aclosing(_scored(model, options, split)) as scored:
        async for done in scored:
            sink.write(done.payload)
            tally.merge(done.tally)
            refused += [record for record in done.block.records if record.problem is not None]
            if refused and options.strict:
                raise JobError(_told(refused[0]))


def _scored(model: LanguageModel, options: Options, split: Split) -> AsyncGenerator[Done, None]:
    reader = Reader(list(options.inputs), options.source)
    found = blocks(reader.records(split.begin, split.end, one_input=True))
    return score_blocks(model, found, renderer(model, options))


def run(options: Options) -> dict[str, Any]:
    """The summary. Raises JobError for what only the local engine does, or without Ray."""
    ray = _ray()
    if options.format not in ROW_FORMATS:
        raise JobError(f"--engine ray writes jsonl, tsv and parquet, not {options.format}")
    if options.two_passes:
        raise JobError("--engine ray needs --calibration with --buckets; make one first")
    for path in filter(is_stream, options.inputs):
        raise JobError(f"{path}: --engine ray cannot read a stream; write it to a file first")
    todo = _prepare(options)
    progress = Progress(len(todo), unit="split")
    with closing(progress), redirect_stdout(sys.stderr):  # where Ray tells of what was retried
        if todo:
            _score(ray, options, todo, progress)
    tally = _finish(options)
    summary = tally.summary(options.columns.unit)
    if progress.tokens:
        summary["seconds"] = round(progress.seconds, 3)
        summary["tokens_per_second"] = round(progress.tokens_per_second, 1)
    return summary


def _score(ray: Any, options: Options, todo: list[Split], progress: Progress) -> None:
    if not ray.is_initialized():  # the cluster of RAY_ADDRESS, or one on this machine
        ray.init(log_to_driver=False, include_dashboard=False)
    most = options.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    ray.data.DataContext.get_current().enable_progress_bars = False
    scored = ray.data.from_items(
        [{"split": split} for split in todo], override_num_blocks=len(todo)
    ).map_batches(
        SplitScorer,
        fn_constructor_args=(options,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(most, len(todo))),
        num_cpus=1,
    )  # an actor that dies is replaced, and its split scored again: Ray Data's defaults
    try:
        for done, row in enumerate(scored.iter_rows(), 1):
            progress.advance(row["tokens"], done)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        raise JobError(str(cause or error).strip().splitlines()[-1]) from None


def _prepare(options: Options) -> list[Split]:
    """The splits whose parts are not there yet."""
    out, folder = options.out, beside(options.out, PARTIAL)
    path = beside(out, ".state")
    if options.overwrite:
        for old in (out, folder, path):
            remove(old)
    job = {**identity(options, bundle_of(options.bundle).hash), "engine": "ray"}
    if out.exists():
        raise JobError(f"{out} is there already; --overwrite replaces it")
    if State.load(path, job) is None:
        remove(folder)
        folder.mkdir()
        State(job).save(path)
    return [s for s in _splits(options) if not all(p.exists() for p in _part(options, s))]


def _finish(options: Options) -> Tally:
    """Add up what the parts counted, list the problems, and give the output its name."""
    tally, errors = Tally(), []
    for split in _splits(options):
        counted = json.loads(_part(options, split)[1].read_bytes())
        tally.merge(Tally.load(counted["tally"]))
        errors += counted["errors"]
    if options.errors is not None:
        replace(options.errors, "".join(errors).encode())
    for split in _splits(options):
        _part(options, split)[1].unlink()
    folder = beside(options.out, PARTIAL)
    for killed in folder.glob(f"{ATTEMPT}*"):
        remove(killed)
    folder.replace(options.out)
    remove(beside(options.out, ".state"))
    return tally


def _splits(options: Options) -> list[Split]:
    return splits(list(options.inputs), options.source)


def _part(options: Options, split: Split) -> tuple[Path, Path]:
    """Where a split's part is written, and its counts."""
    folder = beside(options.out, PARTIAL)
    suffix = "".join(options.out.suffixes[-2:]) or f".{options.format}"
    return folder / part_name(split.index, suffix), folder / part_name(split.index, ".counts")


def _told(record: Record) -> str:
    assert record.problem is not None
    return f"{record.place}: {record.problem.message}"


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise JobError('--engine ray needs Ray: pip install "tiedlm[ray]"') from None
    return ray
