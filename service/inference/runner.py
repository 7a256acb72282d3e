"""The engine behind its batcher: sequences in, sequences read, with everything timed on the way."""

import asyncio
from collections.abc import Callable

import numpy as np

from service.bundle import Bundle
from service.errors import BundleError
from service.inference.batcher import Batcher, RunReport
from service.inference.engine import OnnxEngine, first_line
from service.inference.huge_pages import use_huge_pages
from service.inference.sequence import Sequence, run
from service.lanes import LANES, LaneName, WaitLimits
from service.metrics import Metrics

STAGES = ("encode", "decode", "distribute")
WARM_UP_RUNS = 8
WARM_UP_STEPS = 32


class Runner:
    def __init__(
        self,
        bundle: Bundle,
        metrics: Metrics,
        *,
        threads: int,
        max_batch_tokens: int,
        max_queue_tokens: int,
        wait_limits: WaitLimits,
        request_timeout_seconds: float,
        callers: Callable[[], int] = lambda: 0,
    ) -> None:
        """Loads the graphs, starts the workers and warms them up. `callers` says how many requests
        the event loop has to do with. Raises BundleError.
        """
        self.engine = OnnxEngine(bundle)
        self._metrics = metrics
        self._callers = callers
        self._arriving = 0
        self._stages = {stage: metrics.inference_seconds.labels(stage) for stage in STAGES}
        self._waits = {lane: metrics.queue_seconds.labels(lane) for lane in LANES}
        self._batcher: Batcher[Sequence] = Batcher(
            run=self._timed_run,
            threads=threads,
            max_batch_tokens=max_batch_tokens,
            max_queue_tokens=max_queue_tokens,
            wait_limits=wait_limits,
            request_timeout_seconds=request_timeout_seconds,
            on_run=self._report,
        )
        try:
            self._warm_up(threads, max_batch_tokens)
        except Exception as error:  # graphs that can be read and not be run
            self._batcher.close()
            if isinstance(error, BundleError):
                raise
            raise BundleError(f"the graphs do not run: {first_line(error)}") from None
        use_huge_pages()  # after the graphs have laid their weights out as they run them

    def check_room(self, lane: LaneName, tokens: int = 0, delay_seconds: float = 0.0) -> None:
        """Raise Overloaded as `Batcher.check_room` does."""
        self._batcher.check_room(lane, tokens, delay_seconds)

    async def run(
        self, sequences: list[Sequence], lane: LaneName, *, admitted: bool = False
    ) -> None:
        """Read all sequences to their ends; what waits of them is dropped on cancellation.

        One short sequence that comes alone is read here and now, while no other request needs
        the event loop. Those that come at the same moment see each other after one turn of it, and
        make a batch.

        Raises Overloaded, unless `admitted`, DeadlineExceeded, and what a run failed with.
        """
        if len(sequences) == 1 and self._callers() <= 1 and self._batcher.idle:
            self._arriving += 1
            try:
                await asyncio.sleep(0)
                alone = self._arriving == 1
            finally:  # a caller may leave just here
                self._arriving -= 1
            if alone and self._batcher.run_here(sequences[0], lane):
                return
        ticket = self._batcher.submit(sequences, lane, admitted)
        try:
            await asyncio.wrap_future(ticket.future)
        except asyncio.CancelledError:
            self._batcher.abandon(ticket)
            raise

    def waiting_tokens(self, lane: LaneName) -> int:
        return self._batcher.waiting_tokens(lane)

    def close(self) -> None:
        """Finish what is in flight and end the workers."""
        self._batcher.close()

    def _timed_run(self, sequences: list[Sequence], limit: int) -> None:
        timings = run(self.engine, sequences, limit)
        for stage, seconds in self._stages.items():
            seconds.observe(getattr(timings, stage))

    def _report(self, report: RunReport) -> None:
        waited = self._waits[report.lane]
        for seconds in report.waits:
            waited.observe(seconds)
        self._metrics.batch_tokens.observe(report.padded_tokens)
        self._metrics.batch_fill_ratio.observe(report.tokens / report.padded_tokens)

    def _warm_up(self, threads: int, max_batch_tokens: int) -> None:
        """Run the largest batch, then every worker until it knows its speed, so that the first
        caller waits for nothing. Raises BundleError for graphs of another vocabulary.
        """
        largest = [self._blank() for _ in range(max(1, max_batch_tokens // WARM_UP_STEPS))]
        run(self.engine, largest, WARM_UP_STEPS)
        if largest[0].answer != self.engine.vocabulary_size:
            raise BundleError("manifest.json and the graphs disagree about vocabulary_size")
        for lane in LANES:
            for _ in range(WARM_UP_RUNS):
                several = [self._blank() for _ in range(8 * threads)]
                self._batcher.submit(several, lane).future.result()

    def _blank(self) -> Sequence:
        ids = np.full(WARM_UP_STEPS, self.engine.vocabulary_size - 1)
        return Sequence(ids, ids, self.engine.zero_state(), ask=np.size)
