"""A job from its first block to its last, or from where it was killed: read, score, write, commit.

    inputs → records → blocks ⇒ scores → payloads → OUTPUT.partial → OUTPUT
                                            └ after each commit → OUTPUT.state

With buckets of the input's own percentiles there is a second stage: rows wait in OUTPUT.scored
until the percentiles are known, and are written with their bucket then.

A job that reads or writes a stream cannot be resumed.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from service.bulk.buckets import Buckets, second_stage
from service.bulk.document import Block, Document, Position, blocks
from service.bulk.input import parquet
from service.bulk.input.files import size
from service.bulk.input.ids import dumps
from service.bulk.input.readers import Reader
from service.bulk.job_files import PARTIAL, JobFiles, beside, written_by_a_job
from service.bulk.job_state import Digest, JobState, identity
from service.bulk.options import Options
from service.bulk.output import formats
from service.bulk.output.formats import ROW_FORMATS
from service.bulk.output.rendering import renderer
from service.bulk.output.writers import (
    FileSink,
    NoSink,
    ParquetSink,
    RowsSink,
    Sink,
    StreamSink,
    bytes_sink,
)
from service.bulk.progress import Progress
from service.bulk.scorer import Done, score_blocks
from service.errors import JobError, StartError
from service.files import compression
from service.files.outputs import is_stream, refuse_existing, write_whole
from service.language_model import LanguageModel
from service.results.calibration import Calibration

MOST_REPORTS = 10


class Job:
    def __init__(self, model: LanguageModel, options: Options) -> None:
        """Raises OutputError for an output that already exists, StartError for a calibration that
        is not this model's, JobError for the state of another job. Nothing is touched before.
        """
        self.model = model
        self.options = options
        self.out = options.out
        self.files = JobFiles(options.out, options.errors)
        self._manifest = model.bundle.manifest
        self._reported = 0
        self._digest = Digest()
        self._render = renderer(model, options)
        self._scratch: TemporaryDirectory[str] | None = None
        self._prepare()

    def run(self) -> dict[str, Any]:
        """Return the summary. Raises JobError."""
        streams = any(map(is_stream, self.options.inputs))
        progress = Progress(None if streams else sum(map(size, self.options.inputs)))
        with closing(progress):
            if is_stream(self.out):
                progress.say(f"note: {self.out} is a stream: a job that is stopped begins again")
            try:
                self._run(progress)
            except BaseException:
                if not self.options.resumable:  # what it has written is of no use
                    self.files.tidy()
                raise
        summary = self.state.tally.summary(self.options.columns.unit)
        if progress.tokens:
            summary["seconds"] = round(progress.seconds, 3)
            summary["cpu_seconds"] = round(progress.cpu_seconds, 3)
            summary["tokens_per_second"] = round(progress.tokens_per_second, 1)
        return summary

    def _run(self, progress: Progress) -> None:
        if not self._finished():
            if self.state.stage == "score":
                asyncio.run(self._score(progress))
            if self.state.stage == "bucket":
                self._bucket()
        self._finish()

    def _prepare(self) -> None:
        options, files = self.options, self.files
        for path in files.outputs:
            compression.require(path)
        if options.format == "parquet":
            parquet.pyarrow(self.out)
        job = identity(options, self.model.bundle.hash)
        if options.overwrite:
            files.begin_again()
        state = JobState.load(files.state, job) if files.keeps_state else None
        if not options.resumable:
            state = None
        self.state = state or JobState(job)
        if state is None or not self._finished():
            for path in files.outputs:
                refuse_existing(path, overwrite=False)
        if state is None:
            files.forget()
            self._save()

    def _save(self) -> None:
        if self.files.keeps_state:
            self.state.save(self.files.state)

    async def _score(self, progress: Progress) -> None:
        state, options = self.state, self.options
        reader = Reader(list(options.inputs), options.source)
        sink = self._first_sink()
        errors = self._errors_sink(state.errors)
        done = None
        with closing(sink), closing(errors):
            scored = score_blocks(self.model, self._blocks(reader), self._render)
            async with aclosing(scored):
                async for done in scored:
                    self._write(done, sink, errors, progress)
                    progress.advance(done.tally.totals.tokens, reader.bytes_read)
                    self._commit(done, sink, errors, last=False)
            if options.format == "kenlm-query":
                sink.write(formats.kenlm_summary(state.tally.totals))
            self._commit(done, sink, errors, last=True)
            if options.two_passes:
                state.stage, state.output, state.position = "bucket", 0, Position()
                self._save()
                return
            sink.finish()

    def _blocks(self, reader: Reader) -> Iterator[Block]:
        """Yield the blocks that are to be scored. Those that are scored already are read again,
        because only their digest shows that they are the same: reading takes a twentieth of the
        time of scoring. Raises JobError where they are not.
        """
        begin = self.state.position
        found = blocks(reader.records(Position()))
        if begin != Position():
            for block in found:
                self._digest.add(block.records)
                if block.end.records >= begin.records:
                    break
            if self._digest.value != self.state.digest:
                raise JobError(
                    f"{self.files.state} is of another job: inputs changed after they were read. "
                    "Restore them, or begin again with --overwrite"
                )
        yield from found

    def _write(self, done: Done, sink: Sink, errors: Sink, progress: Progress) -> None:
        refused = [record for record in done.block.records if record.problem is not None]
        for record in refused:
            self._report(record, progress)
        sink.write(done.payload)
        errors.write(b"".join(map(error_line, refused)))
        self._digest.add(done.block.records)
        self.state.tally.merge(done.tally)

    def _report(self, record: Document, progress: Progress) -> None:
        assert record.problem is not None
        line = f"{record.place}: {record.problem.message}"
        if self.options.strict:
            raise JobError(line)
        self._reported += 1
        if self._reported <= MOST_REPORTS:
            progress.say(f"warning: {line}")
        if self._reported == MOST_REPORTS:
            progress.say("warning: that were ten; --errors FILE lists all of them")

    def _commit(self, done: Done | None, sink: Sink, errors: Sink, *, last: bool) -> None:
        committed = sink.commit(last)
        if committed is None and not last:
            return
        self.state.output = committed or 0
        self.state.errors = errors.commit(last) or 0
        self.state.digest = self._digest.value
        if done is not None:
            self.state.position = done.block.end
        if not last:  # what follows the last block is written again if the end is not reached
            self._save()

    def _bucket(self) -> None:
        assert self.options.buckets is not None
        table = self._table() if self.state.tally.documents else None
        buckets = Buckets(table, self.options.buckets, self.options.columns.unit)
        with closing(self._rows_sink(self.out, self.state.output)) as sink:
            scored = beside(self._scored, PARTIAL)
            second_stage(scored, sink, buckets, self.state, self.files.state)
            sink.finish()

    @property
    def _scored(self) -> Path:
        """Rows that wait for the percentiles: beside the output, or in a temporary folder."""
        if not is_stream(self.out):
            return self.files.scored
        self._scratch = self._scratch or TemporaryDirectory(prefix="tiedlm-")
        return Path(self._scratch.name) / "scored"

    def _table(self) -> Calibration:
        histogram = self.state.tally.histogram
        return histogram.calibration(self._manifest.name, self.model.bundle.hash)

    def _finished(self) -> bool:
        """Return whether the job was killed when only tidying up was left."""
        if is_stream(self.out) or not os.path.lexists(self.files.state):
            return False
        if not os.path.lexists(self.out):
            return False
        if self.options.format is None:
            return written_by_a_job(self.out)
        return not os.path.lexists(beside(self.out, PARTIAL))

    def _finish(self) -> None:
        if self.options.format is None and not self._finished():
            try:
                table = self._table()
            except StartError:  # nothing was scored: there is nothing to go on from
                self.files.tidy()
                raise
            write_whole(self.out, table.dumps().encode())
        errors = self.options.errors
        if errors is not None and not is_stream(errors):
            partial = beside(errors, PARTIAL)
            if partial.exists():
                refuse_existing(errors, overwrite=False)
                partial.replace(errors)
        self.files.tidy()
        if self._scratch is not None:
            self._scratch.cleanup()

    def _first_sink(self) -> Sink:
        options, committed = self.options, self.state.output
        if options.format is None:
            return NoSink()
        if options.two_passes:
            return RowsSink(FileSink(self._scored, committed), formats.jsonl)
        if options.format in ROW_FORMATS:
            return self._rows_sink(self.out, committed)
        sink = bytes_sink(self.out, committed)
        if options.format == "surprisal-tsv" and not committed:
            sink.write(formats.SURPRISAL_HEADER)
        return sink

    def _rows_sink(self, path: Path, committed: int) -> Sink:
        columns = self.options.columns
        if self.options.format == "parquet":
            return ParquetSink(path, committed, columns, self.model.info.subword)
        return lines_sink(bytes_sink(path, committed), self.options, begun=committed > 0)

    def _errors_sink(self, committed: int) -> Sink:
        path = self.options.errors
        return NoSink() if path is None else bytes_sink(path, committed)


def error_line(record: Document) -> bytes:
    assert record.problem is not None
    line = {
        "input": record.source,
        "line": record.line,
        "kind": record.problem.kind,
        "message": record.problem.message,
    }
    if record.id is not None:
        line["id"] = record.id
    return dumps(line) + b"\n"


def lines_sink(sink: FileSink | StreamSink, options: Options, *, begun: bool) -> Sink:
    """Rows as JSON lines or TSV; a header where nothing was written yet."""
    if options.format == "jsonl":
        return RowsSink(sink, formats.jsonl)
    names = options.columns.names
    if not begun:
        sink.write(("\t".join(names) + "\n").encode())
    return RowsSink(sink, formats.tsv(names))
