"""A job of the local engine: read, score, write and commit, from its first block or from its state.

    inputs → documents → blocks ⇒ scores → payloads → OUTPUT.partial → OUTPUT
                                              └ after each commit → OUTPUT.state

Buckets by percentiles of the input need a second pass: rows are kept in OUTPUT.scored until the
percentiles are computed, and then written with their bucket.

A job that reads or writes a stream cannot be resumed.
"""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, closing
from typing import Any

from service.bulk.document import Block, Document, Position, blocks
from service.bulk.input.files import size_on_disk
from service.bulk.input.readers import Reader
from service.bulk.job_output import JobOutput, make_output
from service.bulk.options import JobOptions
from service.bulk.output.rows import encode_problem
from service.bulk.output.writers import NullWriter, Writer, open_bytes
from service.bulk.progress import Progress
from service.bulk.resume.identity import DocumentDigest, job_identity
from service.bulk.resume.job_files import JobFiles
from service.bulk.resume.state import JobState, Stage, begin_or_resume
from service.bulk.scorer import ScoredBlock, score_blocks
from service.errors import JobError
from service.files import compression
from service.files.streams import is_stream
from service.language_model import LanguageModel

MAX_WARNINGS = 10


class Job:
    """A job. `prepare` must be called before `run`; neither the constructor nor an error of
    `prepare` changes a file.
    """

    state: JobState
    _output: JobOutput

    def __init__(self, model: LanguageModel, options: JobOptions) -> None:
        self._model = model
        self._options = options
        self._files = JobFiles(options.out, options.errors)
        self._digest = DocumentDigest()
        self._warnings = 0

    def prepare(self) -> None:
        """Check the outputs, and load the state of an earlier attempt or save a new one.

        Raises OutputError for an output that already exists, StartError for the calibration of
        another model, JobError for the state of another job or a package that is not installed.
        """
        options = self._options
        self._output = make_output(self._model, options, self._files)
        for path in self._files.outputs:
            compression.require_package(path)
        job = job_identity(options, self._model.info.bundle_hash)
        self.state = begin_or_resume(options, self._files, job)

    def run(self) -> dict[str, Any]:
        """Return the summary. Raises JobError and OutputError."""
        options = self._options
        streams = any(map(is_stream, options.inputs))
        progress = Progress(None if streams else sum(map(size_on_disk, options.inputs)))
        with closing(progress), closing(self._output):
            if is_stream(options.out):
                progress.print_line(
                    f"note: {options.out} is a stream: a job that is stopped begins again"
                )
            try:
                self._run(progress)
            except BaseException:
                if not options.resumable:  # the partial files are useless
                    self._files.tidy()
                raise
        summary = self.state.statistics.summary(self._output.unit)
        if progress.tokens:
            summary["seconds"] = round(progress.seconds, 3)
            summary["cpu_seconds"] = round(progress.cpu_seconds, 3)
            summary["tokens_per_second"] = round(progress.tokens_per_second, 1)
        return summary

    def _run(self, progress: Progress) -> None:
        if self.state.stage == "score":
            asyncio.run(self._score(progress))
        if self.state.stage == "bucket":
            self._output.write_buckets(self.state, self._save_state)
            self._start_stage("publish")
        self._files.publish()
        self._files.tidy()

    async def _score(self, progress: Progress) -> None:
        reader = Reader(list(self._options.inputs), self._options.source)
        scored = None
        output, state = self._output, self.state
        with closing(output.open(state)) as writer, closing(self._open_errors()) as errors:
            scored_blocks = score_blocks(self._model, self._blocks(reader), output.render)
            async with aclosing(scored_blocks):
                async for scored in scored_blocks:
                    self._write(scored, writer, errors, progress)
                    progress.advance(scored.statistics.totals.tokens, reader.bytes_read)
                    self._commit(scored, writer, errors, last=False)
            output.write_last(writer, state.statistics)
            self._commit(scored, writer, errors, last=True)
        if output.next_stage == "bucket":
            state.output, state.position = 0, Position()
        self._start_stage(output.next_stage)

    def _blocks(self, reader: Reader) -> Iterator[Block]:
        """Yield the blocks that are not scored yet.

        A resumed job reads the scored blocks again, because only their digest proves that the
        inputs did not change. Reading takes a twentieth of the time of scoring. Raises JobError if
        the inputs changed.
        """
        begin = self.state.position
        all_blocks = blocks(reader.documents(Position()))
        if begin != Position():
            for block in all_blocks:
                self._digest.add(block.documents)
                if block.end.documents >= begin.documents:
                    break
            if self._digest.value != self.state.digest:
                raise JobError(
                    f"{self._files.state} is of another job: inputs changed after they were read. "
                    "Restore them, or begin again with --overwrite"
                )
        yield from all_blocks

    def _write(
        self, scored: ScoredBlock, writer: Writer, errors: Writer, progress: Progress
    ) -> None:
        problems = scored.block.problems
        for document in problems:
            self._report(document, progress)
        writer.write(scored.payload)
        errors.write(b"".join(map(encode_problem, problems)))
        self._digest.add(scored.block.documents)
        self.state.statistics.merge(scored.statistics)

    def _report(self, document: Document, progress: Progress) -> None:
        if self._options.strict:
            raise JobError(document.problem_message)
        self._warnings += 1
        if self._warnings <= MAX_WARNINGS:
            progress.print_line(f"warning: {document.problem_message}")
        if self._warnings == MAX_WARNINGS:
            progress.print_line(
                f"warning: {MAX_WARNINGS} problems shown; use --errors FILE to list all of them"
            )

    def _commit(
        self, scored: ScoredBlock | None, writer: Writer, errors: Writer, *, last: bool
    ) -> None:
        committed = writer.commit(last)
        if committed is None and not last:
            return
        self.state.output = committed or 0
        self.state.errors = errors.commit(last) or 0
        self.state.digest = self._digest.value
        if scored is not None:
            self.state.position = scored.block.end
        if not last:  # the last commit is saved with the next stage
            self._save_state()

    def _start_stage(self, stage: Stage) -> None:
        self.state.stage = stage
        self._save_state()

    def _save_state(self) -> None:
        if self._files.keeps_state:
            self.state.save(self._files.state)

    def _open_errors(self) -> Writer:
        errors = self._options.errors
        return NullWriter() if errors is None else open_bytes(errors, self.state.errors)
