"""The constants of scheduling, each with its measurement or its reason. Times are in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SchedulerTuning:
    """Constants of the scheduler, its queues and the wait estimate."""

    # A keystroke waits for the end of a running batch, and nobody notices 20 ms.
    batch_seconds: float = 0.020
    # A task this short runs inline on the event loop. The speed is that of batches; a task alone
    # takes up to twice as long, so that the event loop stands still for 5 ms at most.
    inline_seconds: float = 0.0025
    # The smallest batch, before the first measurement and on slow machines.
    min_batch_tokens: int = 128
    # Interactive batches in a row while bulk tasks wait. Bulk keeps a fifth of the workers.
    interactive_batches_in_a_row: int = 4
    # Every n-th batch of a priority starts at its oldest entry, so that long tasks never starve.
    oldest_first_every: int = 4
    # A request that has waited this long is late: age then decides, not length.
    late_seconds: float = 0.1
    # Below this many sequences, a batch multiplies matrices of too few rows to be fast.
    full_batch_size: int = 8
    # Chunks are not cut shorter than this: every chunk costs a call of the encoder.
    min_chunk_tokens: int = 8
    # Beyond a full batch, a longer sequence joins only if padding stays below this share.
    max_padding: float = 0.08
    # At most this much of one request counts for the requests behind it: about one batch, because
    # later requests overtake the rest.
    max_counted_tokens: int = 512
    # Removing more entries than this one by one takes longer than building the queue again.
    max_single_removals: int = 16
    # The weight of the past in the moving average of tokens per second.
    speed_ema_decay: float = 0.9
    # The wait estimate is measured over windows of this length, with this weight of the past.
    wait_window_seconds: float = 0.2
    wait_ema_decay: float = 0.7
    # The largest measured slowdown. A machine that stood still for a moment is not that slow.
    max_slowdown: float = 100.0


TUNING = SchedulerTuning()
