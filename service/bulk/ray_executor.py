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
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, closing, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from service.bulk.document import Document, blocks
from service.bulk.input.readers import Reader
from service.bulk.input.splits import Split, splits
from service.bulk.job import error_line, lines_sink
from service.bulk.job_files import ATTEMPT, PARTIAL, JobFiles, beside, remove, written_by_a_job
from service.bulk.job_state import Digest, JobState, identity
from service.bulk.model import bundle_of, load
from service.bulk.options import Options
from service.bulk.output.formats import ROW_FORMATS
from service.bulk.output.rendering import renderer
from service.bulk.output.writers import FileSink, Part, Sink, part_name
from service.bulk.progress import Progress
from service.bulk.scorer import Done, score_blocks
from service.bulk.statistics import Statistics
from service.errors import JobError, OutputError
from service.files import compression
from service.files.outputs import is_stream, refuse_existing, write_whole
from service.language_model import LanguageModel


class SplitScorer:
    """An actor, which loads its model once and scores one split a call."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._model = load(options.bundle, 1)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Write the part of a batch of one split; return its number and its tokens."""
        split = batch["split"][0]
        tally = asyncio.run(score_split(self._model, self._options, split))
        return {"split": [split.index], "tokens": [tally.totals.tokens]}


async def score_split(model: LanguageModel, options: Options, split: Split) -> Statistics:
    """Write a split's part, and its counts, problems and digest beside it. Raises JobError if
    strict.
    """
    part, counts = _part(options, split)
    tally, refused, digest = Statistics(), list[Document](), Digest()
    with TemporaryDirectory(prefix=ATTEMPT, dir=part.parent) as folder:
        own = Path(folder) / part.name
        sink = (
            Part(own, options.columns, model.info.subword)
            if options.format == "parquet"
            else lines_sink(FileSink(own, 0), options, begun=False)
        )
        with closing(sink):
            await _write(model, options, split, sink, tally, refused, digest)
            sink.commit(last=True)
            sink.finish()
        errors = [error_line(record).decode() for record in refused]
        counted = {"tally": tally.dump(), "errors": errors, "digest": digest.value}
        write_whole(counts, json.dumps(counted).encode())
        own.replace(part)
    return tally


async def _write(
    model: LanguageModel,
    options: Options,
    split: Split,
    sink: Sink,
    tally: Statistics,
    refused: list[Document],
    digest: Digest,
) -> None:
    async with aclosing(_scored(model, options, split)) as scored:
        async for done in scored:
            sink.write(done.payload)
            tally.merge(done.tally)
            digest.add(done.block.records)
            refused += [record for record in done.block.records if record.problem is not None]
            if refused and options.strict:
                raise JobError(_told(refused[0]))


def _scored(model: LanguageModel, options: Options, split: Split) -> AsyncGenerator[Done, None]:
    return score_blocks(model, blocks(_records(options, split)), renderer(model, options))


def _records(options: Options, split: Split) -> Iterator[Document]:
    reader = Reader(list(options.inputs), options.source)
    return reader.records(split.begin, split.end, one_input=True)


def run(options: Options) -> dict[str, Any]:
    """Return the summary. Raises JobError for what only the local engine does, or without Ray."""
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
    """Return the splits whose parts are not there yet."""
    files, folder = JobFiles(options.out, options.errors), beside(options.out, PARTIAL)
    job = {**identity(options, bundle_of(options.bundle).hash), "engine": "ray"}
    if options.overwrite:
        files.begin_again()
    refuse_existing(options.out, overwrite=False)
    state = JobState.load(files.state, job)
    if options.errors is not None and not (state and written_by_a_job(options.errors)):
        refuse_existing(options.errors, overwrite=False)
    if state is None:
        files.forget()
        JobState(job).save(files.state)
    if folder.is_symlink():
        raise OutputError(f"{folder} is a symbolic link; remove it")
    folder.mkdir(exist_ok=True)
    return [split for split in _splits(options) if not _is_done(options, split)]


def _is_done(options: Options, split: Split) -> bool:
    """Raises JobError where the part is of other documents than the inputs have now."""
    part, counts = _part(options, split)
    if not part.exists() or not counts.exists():
        return False
    digest = Digest()
    digest.add(_records(options, split))
    if json.loads(counts.read_bytes()).get("digest") != digest.value:
        raise JobError(
            f"{part} is of another job: inputs changed after they were read. Restore them, or "
            "begin again with --overwrite"
        )
    return True


def _finish(options: Options) -> Statistics:
    """Add up the parts' counts, list the problems, and move the output to its name."""
    tally, errors = Statistics(), []
    for split in _splits(options):
        counted = json.loads(_part(options, split)[1].read_bytes())
        tally.merge(Statistics.load(counted["tally"]))
        errors += counted["errors"]
    if options.errors is not None:
        content = "".join(errors).encode()
        write_whole(options.errors, compression.frame(content, options.errors))
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
    """Return the paths of a split's part and of its counts."""
    folder = beside(options.out, PARTIAL)
    suffix = "".join(options.out.suffixes[-2:]) or f".{options.format}"
    return folder / part_name(split.index, suffix), folder / part_name(split.index, ".counts")


def _told(record: Document) -> str:
    assert record.problem is not None
    return f"{record.place}: {record.problem.message}"


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        hint = 'in the clone of tiedlm: pip install ".[ray]"'
        raise JobError(f"--engine ray needs Ray; {hint}") from None
    return ray
