"""`--engine ray`: splits of the inputs, scored by a pool of actors that Ray Data scales.

    splits → map_batches(SplitScorer) ⇒ OUTPUT.partial/part-00000.…, one per split → OUTPUT

Each actor has one model and one core, on this machine or on machines that share a disk. A job that
was killed continues with the splits whose parts are missing.
"""

import os
import re
import sys
from contextlib import closing, redirect_stdout
from typing import Any

from service.bulk.input.splits import Split, split_inputs
from service.bulk.options import ROW_FORMATS, ScoringOptions
from service.bulk.progress import Progress
from service.bulk.resume.identity import DocumentDigest, job_identity
from service.bulk.resume.job_files import PARTIAL, JobFiles, with_suffix
from service.bulk.resume.parts import remove_all_but_parts
from service.bulk.resume.state import JobState, begin_or_resume
from service.bulk.split_scorer import SplitScorer, part_of, read_split
from service.bundle import Bundle
from service.errors import JobError, OutputError
from service.files import compression
from service.files.atomic import write_atomically
from service.files.streams import is_stream
from service.settings import Settings

OWN_ERROR = re.compile(r"^service\.errors\.\w+: (.+)$", re.MULTILINE)


def run(options: ScoringOptions) -> dict[str, Any]:
    """Return the summary. Raises JobError for options of the local engine only, or without Ray."""
    ray = _import_ray()
    if options.format not in ROW_FORMATS:
        raise JobError(f"--engine ray writes jsonl, tsv and parquet, not {options.format}")
    if options.two_passes:
        raise JobError("--engine ray needs --calibration with --buckets; make one first")
    for path in filter(is_stream, options.inputs):
        raise JobError(f"{path}: --engine ray cannot read a stream; write it to a file first")
    job = RayJob(options)
    unfinished = job.prepare()
    progress = Progress(len(unfinished), unit="split")
    with closing(progress), redirect_stdout(sys.stderr):  # Ray prints the calls that it repeats
        if unfinished:
            _score(ray, options, unfinished, progress)
    job.finish()
    summary = job.state.statistics.summary(options.columns.unit)
    if progress.tokens:
        summary["seconds"] = round(progress.seconds, 3)
        summary["tokens_per_second"] = round(progress.tokens_per_second, 1)
    return summary


class RayJob:
    """The files of a job whose parts are written by workers. The state belongs to this process."""

    state: JobState

    def __init__(self, options: ScoringOptions) -> None:
        self._options = options
        self._files = JobFiles(options.out, options.errors)
        self._folder = with_suffix(options.out, PARTIAL)
        self._splits: list[Split] = []

    def prepare(self) -> list[Split]:
        """Return the splits without a finished part.

        Raises OutputError for an output that already exists, JobError for the state of another job
        or a part of other documents.
        """
        bundle = Bundle.load(Settings.unlimited(self._options.bundle).bundle)
        job = {**job_identity(self._options, bundle.hash), "engine": "ray"}
        self.state = begin_or_resume(self._options, self._files, job)
        if self.state.stage == "publish":
            return []
        if self._folder.is_symlink():
            raise OutputError(f"{self._folder} is a symbolic link; remove it")
        self._folder.mkdir(exist_ok=True)
        self._splits = split_inputs(list(self._options.inputs), self._options.source)
        return [split for split in self._splits if not self._is_finished(split)]

    def _is_finished(self, split: Split) -> bool:
        """Return whether a split has its part. Raises JobError if its documents changed since."""
        part = part_of(self._options, split)
        if not part.is_finished:
            return False
        digest = DocumentDigest()
        digest.add(read_split(self._options, split))
        if part.record().digest != digest.value:
            raise JobError(
                f"{part.path} is of another job: inputs changed after they were read. Restore "
                "them, or begin again with --overwrite"
            )
        return True

    def finish(self) -> None:
        """Add up the records of all parts, and publish the outputs."""
        if self.state.stage == "score":
            self._collect()
        if self._folder.is_dir():
            remove_all_but_parts(self._folder)
        self._files.publish()
        self._files.tidy()

    def _collect(self) -> None:
        errors = list[str]()
        for split in self._splits:
            record = part_of(self._options, split).record()
            self.state.statistics.merge(record.statistics)
            errors += record.errors
        path = self._options.errors
        if path is not None:
            content = compression.compress_frame("".join(errors).encode(), path)
            write_atomically(path if is_stream(path) else with_suffix(path, PARTIAL), content)
        self.state.stage = "publish"
        self.state.save(self._files.state)


def _score(ray: Any, options: ScoringOptions, splits: list[Split], progress: Progress) -> None:
    if not ray.is_initialized():  # connects to RAY_ADDRESS, or starts a cluster on this machine
        ray.init(log_to_driver=False, include_dashboard=False)
    max_workers = options.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    ray.data.DataContext.get_current().enable_progress_bars = False
    scored = ray.data.from_items(
        [{"split": split} for split in splits], override_num_blocks=len(splits)
    ).map_batches(
        SplitScorer,
        fn_constructor_args=(options,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(max_workers, len(splits))),
        num_cpus=1,
    )  # by default Ray Data replaces an actor that dies, and scores its split again
    try:
        for done, row in enumerate(scored.iter_rows(), 1):
            progress.advance(row["tokens"], done)
    except ray.exceptions.RayError as error:
        raise JobError(_message_of(error)) from None


def _message_of(error: Exception) -> str:
    """Return the message of a ServiceError in a worker, which Ray passes on as text only."""
    if match := OWN_ERROR.search(str(error)):
        return match[1]
    return str(getattr(error, "cause", None) or error).strip().splitlines()[-1]


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        hint = 'in the clone of tiedlm: pip install ".[ray]"'
        raise JobError(f"--engine ray needs Ray; {hint}") from None
    return ray
