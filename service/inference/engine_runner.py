"""The engine behind its batcher: sequences in, sequences read, with everything timed on the way."""

import asyncio
from collections.abc import Callable

import numpy as np

from service.arrays import PRIORITIES, Priority
from service.bundle import Bundle
from service.errors import BundleError
from service.inference.batcher import Batcher, RunReport
from service.inference.engine import OnnxEngine, first_line
from service.inference.load_check import check_figures
from service.inference.task import InferenceTask, run_batch
from service.limits import WaitLimits
from service.runtime.huge_pages import use_huge_pages
from service.runtime.metrics import Metrics

STAGES = ("encode", "decode", "distribute")
WARM_UP_RUNS = 8
WARM_UP_STEPS = 32


class EngineRunner:
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
        try:
            check_figures(self.engine)
        except Exception as error:  # graphs that can be read and not be run
            raise _cannot_run(error) from None
        self._callers = callers
        self._arriving = 0
        self._batcher: Batcher[InferenceTask] = Batcher(
            run=_timed_run(self.engine, metrics),
            threads=threads,
            max_batch_tokens=max_batch_tokens,
            max_queue_tokens=max_queue_tokens,
            wait_limits=wait_limits,
            request_timeout_seconds=request_timeout_seconds,
            on_run=_report(metrics),
        )
        try:
            self._warm_up(threads, max_batch_tokens)
        except Exception as error:
            self._batcher.close()
            raise _cannot_run(error) from None
        use_huge_pages()  # after the graphs have laid their weights out as they run them

    def check_room(self, lane: Priority, tokens: int = 0, delay_seconds: float = 0.0) -> None:
        """Raise Overloaded as `Batcher.check_room` does."""
        self._batcher.check_room(lane, tokens, delay_seconds)

    async def run(
        self, sequences: list[InferenceTask], lane: Priority, *, admitted: bool = False
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

    def waiting_tokens(self, lane: Priority) -> int:
        return self._batcher.waiting_tokens(lane)

    def close(self) -> None:
        """Finish what is in flight and end the workers."""
        self._batcher.close()

    def _warm_up(self, threads: int, max_batch_tokens: int) -> None:
        """Run the largest batch, then every worker until it knows its speed, so that the first
        caller waits for nothing. Raises BundleError for graphs of another vocabulary.
        """
        largest = [self._blank() for _ in range(max(1, max_batch_tokens // WARM_UP_STEPS))]
        run_batch(self.engine, largest, WARM_UP_STEPS)
        if largest[0].answer != self.engine.vocabulary_size:
            raise BundleError("manifest.json and the graphs disagree about vocabulary_size")
        for lane in PRIORITIES:
            for _ in range(WARM_UP_RUNS):
                several = [self._blank() for _ in range(8 * threads)]
                self._batcher.submit(several, lane).future.result()

    def _blank(self) -> InferenceTask:
        ids = np.full(WARM_UP_STEPS, self.engine.vocabulary_size - 1)
        return InferenceTask(ids, ids, self.engine.zero_state(), ask=np.size)


def _cannot_run(error: Exception) -> BundleError:
    if isinstance(error, BundleError):
        return error
    return BundleError(f"the graphs do not run: {first_line(error)}")


# The batcher gets functions, not methods: with methods runner and batcher would keep each other.


def _timed_run(engine: OnnxEngine, metrics: Metrics) -> Callable[[list[InferenceTask], int], None]:
    stages = {stage: metrics.inference_seconds.labels(stage) for stage in STAGES}

    def timed(sequences: list[InferenceTask], limit: int) -> None:
        timings = run_batch(engine, sequences, limit)
        for stage, seconds in stages.items():
            seconds.observe(getattr(timings, stage))

    return timed


def _report(metrics: Metrics) -> Callable[[RunReport], None]:
    waits = {lane: metrics.queue_seconds.labels(lane) for lane in PRIORITIES}

    def report(done: RunReport) -> None:
        for seconds in done.waits:
            waits[done.lane].observe(seconds)
        metrics.batch_tokens.observe(done.padded_tokens)
        metrics.batch_fill_ratio.observe(done.tokens / done.padded_tokens)

    return report
