"""The engine behind its batcher: runs tasks to their ends, and reports the time that they took."""

import asyncio
from collections.abc import Callable

import numpy as np

from service.arrays import PRIORITIES, Priority
from service.bundle import Bundle
from service.errors import BundleError
from service.inference.admission import Admission
from service.inference.batcher import Batcher, BatchReport
from service.inference.engine import OnnxEngine, first_line
from service.inference.output_check import check_outputs
from service.inference.scheduler import Scheduler
from service.inference.task import InferenceTask, run_batch
from service.runtime.memory import use_huge_pages
from service.runtime.metrics import Metrics

STAGES = ("encode", "decode", "distribute")
# Enough batches of a priority that every worker runs some of them.
WARM_UP_BATCHES = 8
WARM_UP_STEPS = 32
WARM_UP_TASKS_PER_THREAD = 8


class EngineRunner:
    def __init__(
        self,
        bundle: Bundle,
        metrics: Metrics,
        scheduler: Scheduler[InferenceTask],
        admission: Admission,
        *,
        threads: int,
        request_timeout_seconds: float,
    ) -> None:
        """Load the graphs, start the workers and warm them up. Raises BundleError."""
        self.engine = OnnxEngine(bundle)
        try:
            check_outputs(self.engine)
        except Exception as error:  # onnxruntime can load some graphs that it cannot run
            raise _cannot_run(error) from None
        self._admission = admission
        self._arriving = 0
        self._batcher: Batcher[InferenceTask] = Batcher(
            _timed_run_batch(self.engine, metrics),
            scheduler,
            admission,
            threads=threads,
            request_timeout_seconds=request_timeout_seconds,
            on_batch=_batch_reporter(metrics),
        )
        try:
            self._warm_up(threads, scheduler.max_batch_tokens)
        except Exception as error:
            self._batcher.close()
            raise _cannot_run(error) from None
        use_huge_pages()  # after the first batches, because only they lay the weights out

    async def run(
        self, tasks: list[InferenceTask], priority: Priority, *, admitted: bool = False
    ) -> None:
        """Run all tasks to their ends. On cancellation, waiting tasks are dropped.

        One short task that comes alone runs inline, if no other request needs the event loop. Tasks
        that come at the same moment see each other after one turn of the loop, and make a batch.

        Raises Overloaded, unless `admitted`, DeadlineExceeded, and the exception of a failed batch.
        """
        if len(tasks) == 1 and self._admission.requests <= 1 and self._batcher.idle:
            self._arriving += 1
            try:
                await asyncio.sleep(0)
                alone = self._arriving == 1
            finally:  # the caller may be cancelled here
                self._arriving -= 1
            if alone and self._batcher.run_inline(tasks[0], priority):
                return
        request = self._batcher.submit(tasks, priority, admitted)
        try:
            await asyncio.wrap_future(request.future)
        except asyncio.CancelledError:
            self._batcher.cancel(request)
            raise

    def close(self) -> None:
        """Finish the running tasks and end the workers."""
        self._batcher.close()

    def _warm_up(self, threads: int, max_batch_tokens: int) -> None:
        """Run the largest batch, then batches of both priorities until their speed is measured, so
        that the first request waits for nothing.

        Raises BundleError for graphs of another vocabulary.
        """
        largest = [self._blank_task() for _ in range(max(1, max_batch_tokens // WARM_UP_STEPS))]
        run_batch(self.engine, largest, WARM_UP_STEPS)
        if largest[0].result != self.engine.vocabulary_size:
            raise BundleError(
                "manifest.json and the graphs disagree about vocabulary_size; "
                "export the bundle again"
            )
        for priority in PRIORITIES:
            for _ in range(WARM_UP_BATCHES):
                tasks = [self._blank_task() for _ in range(WARM_UP_TASKS_PER_THREAD * threads)]
                self._batcher.submit(tasks, priority).future.result()

    def _blank_task(self) -> InferenceTask:
        ids = np.full(WARM_UP_STEPS, self.engine.vocabulary_size - 1)
        return InferenceTask(ids, ids, self.engine.zero_state(), on_distribution=np.size)


def _cannot_run(error: Exception) -> BundleError:
    if isinstance(error, BundleError):
        return error
    return BundleError(f"the graphs do not run: {first_line(error)}")


# The batcher gets functions, not methods, because methods would make a circle of references between
# runner and batcher, which keeps the memory of a model after a reload.


def _timed_run_batch(
    engine: OnnxEngine, metrics: Metrics
) -> Callable[[list[InferenceTask], int], None]:
    stages = {stage: metrics.inference_seconds.labels(stage) for stage in STAGES}

    def timed(tasks: list[InferenceTask], chunk_length: int) -> None:
        timings = run_batch(engine, tasks, chunk_length)
        for stage, seconds in stages.items():
            seconds.observe(getattr(timings, stage))

    return timed


def _batch_reporter(metrics: Metrics) -> Callable[[BatchReport], None]:
    waits = {priority: metrics.queue_seconds.labels(priority) for priority in PRIORITIES}

    def report(batch: BatchReport) -> None:
        for seconds in batch.wait_seconds:
            waits[batch.priority].observe(seconds)
        metrics.batch_tokens.observe(batch.padded_tokens)
        metrics.batch_fill_ratio.observe(batch.tokens / batch.padded_tokens)

    return report
