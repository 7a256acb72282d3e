"""Speed of training against the plain loop: `python -m tests.programs.benchmarks.training`.

Both train a tied LSTM of the same sizes, with dropout, on the same batches; the plain loop is what
a tutorial writes: float32, `nn.LSTM`, a linear layer, `cross_entropy` over all logits, clipped SGD.
They take turns, so that other load affects both alike. The wanted ratio is 1.5.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

from service.runtime.startup import print_any_text
from train.checkpoint import Checkpoint
from train.config import Config, ModelConfig, TokenizerConfig, TrainConfig
from train.data.streams import Streams
from train.data.tokenizer import fit_tokenizer
from train.loop import TrainingRun
from train.runtime.stopwatch import STEP_PARTS

ROUNDS, STEPS = 7, 8
TOKENS = 200_000


class Plain(nn.Module):
    def __init__(self, sizes: ModelConfig, vocabulary_size: int) -> None:
        super().__init__()
        width = sizes.embedding_size
        self.drop = nn.Dropout(sizes.dropout_input)
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.lstm = nn.LSTM(width, width, sizes.layers, dropout=sizes.dropout_hidden)
        self.output = nn.Linear(width, vocabulary_size)
        self.output.weight = self.embedding.weight

    def train_on(self, streams: Streams, steps: range, state: tuple[torch.Tensor, ...]) -> int:
        tokens = 0
        for step in steps:
            inputs, targets, _ = streams.batch(step)
            hidden, after = self.lstm(self.drop(self.embedding(inputs)), state)
            state = tuple(part.detach() for part in after)
            logits = self.output(self.drop(hidden)).flatten(0, 1)
            loss = functional.cross_entropy(logits, targets.flatten())
            self.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(self.parameters(), 0.25)
            with torch.no_grad():
                for parameter in self.parameters():
                    if parameter.grad is not None:
                        parameter.add_(parameter.grad, alpha=-1.0)
            tokens += targets.numel()
        return tokens


def main() -> None:
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.benchmarks.training", description=__doc__
    )
    parser.add_argument("--width", type=int, default=400)
    parser.add_argument("--vocabulary", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--bptt-length", type=int, default=35)
    options = parser.parse_args()
    sizes = ModelConfig(embedding_size=options.width, hidden_size=options.width)
    training = TrainConfig(
        batch_size=options.batch_size, bptt_length=options.bptt_length, log_every_steps=10**9
    )
    config = Config(
        name="speed", tokenizer=TokenizerConfig(kind="whitespace"), model=sizes, train=training
    )
    words = " ".join(f"w{index}" for index in range(options.vocabulary - 2))
    tokenizer: Tokenizer = fit_tokenizer(config.tokenizer, [words])
    random = np.random.default_rng(0)
    ids = (options.vocabulary * random.random(TOKENS) ** 3).astype(np.int32)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder))
        checkpoint.start(config)
        run = TrainingRun(config, checkpoint, ids, ids[:100], tokenizer)
        plain = Plain(sizes, options.vocabulary)
        streams = Streams(ids, 1, training)
        zeros = torch.zeros(sizes.layers, options.batch_size, options.width)
        speeds: list[tuple[float, float]] = []
        for turn in range(ROUNDS + 1):  # the first one warms up
            steps = range(turn * STEPS, (turn + 1) * STEPS)
            begun = time.perf_counter()
            own = sum(run._step() for _ in steps)
            between = time.perf_counter()
            theirs = plain.train_on(streams, steps, (zeros, zeros))
            ended = time.perf_counter()
            if turn:
                speeds.append((own / (between - begun), theirs / (ended - between)))
            else:
                run.train_step.stopwatch.take()
        seconds = run.train_step.stopwatch.take()
    total = sum(seconds.values())
    shares = ", ".join(f"{part} {seconds[f'{part}_seconds'] / total:.0%}" for part in STEP_PARTS)
    step = f"{options.batch_size} × {options.bptt_length} tokens a step"
    threads = torch.get_num_threads()
    print(f"2 × {options.width}, {options.vocabulary:,} words, {step}, {threads} threads")
    print(f"tiedlm      {median(own for own, _ in speeds):8,.0f} tokens/s ({shares})")
    print(f"plain loop  {median(theirs for _, theirs in speeds):8,.0f} tokens/s")
    print(f"ratio       {median(own / theirs for own, theirs in speeds):8.2f}")


if __name__ == "__main__":
    main()
