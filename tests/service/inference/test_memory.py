"""The engine's memory does not grow with the length of a text."""

import subprocess
import sys

SCRIPT = """
import resource
import numpy as np
from service.bundle import Bundle
from service.inference.engine import OnnxEngine
from service.inference.task import InferenceTask, run_batch
from service.settings import STARTER_BUNDLE

engine = OnnxEngine(Bundle.load(STARTER_BUNDLE))

def peak_after(tokens):
    ids = np.arange(tokens) % engine.vocabulary_size
    task = InferenceTask(ids[:-1], ids[1:], engine.zero_state())
    while task.remaining:
        run_batch(engine, [task], 512)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

print(peak_after(2_000), peak_after(60_000))
"""


def test_memory_does_not_grow_with_the_text() -> None:
    output = subprocess.check_output([sys.executable, "-c", SCRIPT], text=True)
    short, long = map(int, output.split())
    # Ids, targets and log-probabilities are 20 bytes a token; one logits matrix would be 3.4 GB.
    assert long - short < 60_000 * 20 + 8_000_000
