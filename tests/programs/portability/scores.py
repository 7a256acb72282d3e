"""Log-probabilities of fixed sentences, as JSON.

python -m tests.programs.portability.scores BUNDLE COUNT
"""

import json
import sys
from pathlib import Path

import numpy as np

from service.bundle import Bundle
from service.inference.engine import OnnxEngine
from service.inference.task import InferenceTask, run_batch
from service.text.tokenizer import Tokenizer

SENTENCES = (
    "He was born in London in 1850, and died there.",
    "The album was released on 3 May by the band's own label.",
    "However, the storm weakened over water and turned north.",
    "xyzzy ( <unk> ) – the the the",
)


def scores(bundle: Bundle, count: int) -> list[float]:
    engine = OnnxEngine(bundle)
    tokenizer = Tokenizer(bundle.contents["tokenizer.json"], bundle.manifest)
    end = np.array([tokenizer.end_id])
    ids = [np.concatenate([end, tokenizer.encode(s).ids, end]) for s in SENTENCES[:count]]
    sequences = [InferenceTask(x[:-1], x[1:], engine.zero_state()) for x in ids]
    run_batch(engine, sequences, 1000)
    return [float(x) for s in sequences for x in s.decoded().logprobs]


if __name__ == "__main__":
    print(json.dumps(scores(Bundle.load(Path(sys.argv[1])), int(sys.argv[2]))))
