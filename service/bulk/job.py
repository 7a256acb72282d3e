"""A job from its first block to its last: read, score, write, commit; and from where it was killed.

    inputs → records → blocks ⇒ scores → payloads → OUTPUT.partial → OUTPUT
                                            └ after each commit → OUTPUT.state

With buckets of the input's own percentiles there is a second stage: rows wait in OUTPUT.scored
until the percentiles are known, and are written with their bucket then.
"""

import asyncio
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

from service.bulk import formats
from service.bulk.buckets import Buckets, second_stage
from service.bulk.formats import ROW_FORMATS
from service.bulk.ids import dumps
from service.bulk.inputs import is_stream, size
from service.bulk.options import Options
from service.bulk.progress import Progress
from service.bulk.reading import Reader
from service.bulk.record import Position, Record, blocks
from service.bulk.rendering import renderer
from service.bulk.resume import State, identity, replace
from service.bulk.scorer import Done, score_blocks
from service.bulk.writing import PARTIAL, FileSink, NoSink, ParquetSink, RowsSink, Sink, remove
from service.calibration import Calibration
from service.errors import JobError
from service.language_model import LanguageModel

MOST_REPORTS = 10


class Job:
    def __init__(self, model: LanguageModel, options: Options) -> None:
        """Raises JobError for an output that is there already, or the state of another job."""
        self.model = model
        self.options = options
        self.out = options.out
        self._state_path = beside(self.out, ".state")
        self._scored = beside(self.out, ".scored")
        self._manifest = model.bundle.manifest
        self._reported = 0
        self._prepare()

    def run(self) -> dict[str, Any]:
        """The summary. Raises JobError."""
        streams = any(map(is_stream, self.options.inputs))
        progress = Progress(None if streams else sum(map(size, self.options.inputs)))
        with closing(progress):
            if not self._finished():
                if self.state.stage == "score":
                    asyncio.run(self._score(progress))
                if self.state.stage == "bucket":
                    self._bucket()
                self._finish()
        summary = self.state.tally.summary(self.options.columns.unit)
        if progress.tokens:
            summary["seconds"] = round(progress.seconds, 3)
            summary["cpu_seconds"] = round(progress.cpu_seconds, 3)
            summary["tokens_per_second"] = round(progress.tokens_per_second, 1)
        return summary

    def _prepare(self) -> None:
        if self.options.overwrite:
            self._remove_all()
            remove(self.out)
        job = identity(self.options, self.model.bundle.hash)
        state = State.load(self._state_path, job)
        if state is None:
            if self.out.exists():
                raise JobError(f"{self.out} is there already; --overwrite replaces it")
            self._remove_all()
            state = State(job)
        self.state = state

    async def _score(self, progress: Progress) -> None:
        state, options = self.state, self.options
        reader = Reader(list(options.inputs), options.source)
        sink = self._first_sink()
        errors = self._errors_sink(state.errors)
        done = None
        with closing(sink), closing(errors):
            found = blocks(reader.records(state.position))
            scored = score_blocks(self.model, found, renderer(self.model, options))
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
                state.save(self._state_path)
                return
            sink.finish()

    def _write(self, done: Done, sink: Sink, errors: Sink, progress: Progress) -> None:
        refused = [record for record in done.block.records if record.problem is not None]
        for record in refused:
            self._report(record, progress)
        sink.write(done.payload)
        errors.write(b"".join(map(error_line, refused)))
        self.state.tally.merge(done.tally)

    def _report(self, record: Record, progress: Progress) -> None:
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
        if committed is None:
            return
        self.state.output = committed
        self.state.errors = errors.commit(last) or 0
        if done is not None:
            self.state.position = done.block.end
        if not last:  # what follows the last block is written again if the end is not reached
            self.state.save(self._state_path)

    def _bucket(self) -> None:
        assert self.options.buckets is not None
        buckets = Buckets(self._table(), self.options.buckets, self.options.columns.unit)
        with closing(self._rows_sink(self.out, self.state.output)) as sink:
            scored = self._scored.with_name(self._scored.name + PARTIAL)
            second_stage(scored, sink, buckets, self.state, self._state_path)
            sink.finish()

    def _table(self) -> Calibration:
        histogram = self.state.tally.histogram
        return histogram.calibration(self._manifest.name, self.model.bundle.hash)

    def _finished(self) -> bool:
        """Whether it was killed when only tidying up was left."""
        if self.options.format is None or not self.out.exists():
            return False
        self._finish()
        return True

    def _finish(self) -> None:
        if self.options.format is None:
            replace(self.out, self._table().dumps().encode())
        if self.options.errors is not None:
            partial = beside(self.options.errors, PARTIAL)
            if partial.exists():
                partial.replace(self.options.errors)
        self._remove_all()

    def _remove_all(self) -> None:
        for suffix in (PARTIAL, ".scored" + PARTIAL, ".state", ".state.new"):
            remove(beside(self.out, suffix))
        if self.options.errors is not None:
            remove(beside(self.options.errors, PARTIAL))

    def _first_sink(self) -> Sink:
        options, committed = self.options, self.state.output
        if options.format is None:
            return NoSink()
        if options.two_passes:
            return RowsSink(FileSink(self._scored, committed), formats.jsonl)
        if options.format in ROW_FORMATS:
            return self._rows_sink(self.out, committed)
        sink = FileSink(self.out, committed)
        if options.format == "surprisal-tsv" and not committed:
            sink.write(formats.SURPRISAL_HEADER)
        return sink

    def _rows_sink(self, path: Path, committed: int) -> Sink:
        columns = self.options.columns
        if self.options.format == "parquet":
            return ParquetSink(path, committed, columns, self.model.tokenizer.subword)
        return lines_sink(FileSink(path, committed), self.options, begun=committed > 0)

    def _errors_sink(self, committed: int) -> Sink:
        path = self.options.errors
        return NoSink() if path is None else FileSink(path, committed)


def error_line(record: Record) -> bytes:
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


def lines_sink(sink: FileSink, options: Options, *, begun: bool) -> Sink:
    """Rows as JSON lines or TSV; a header where nothing was written yet."""
    if options.format == "jsonl":
        return RowsSink(sink, formats.jsonl)
    names = options.columns.names
    if not begun:
        sink.write(("\t".join(names) + "\n").encode())
    return RowsSink(sink, formats.tsv(names))


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
