"""Checkpoints whose cell states count tokens and grow to 80 and more."""

from pathlib import Path

import torch

from tests.support.tiny_training import write_checkpoint
from train.checkpoint import Checkpoint
from train.config import ModelConfig
from train.model.lstm import TiedLSTM


def write_counting_checkpoint(
    folder: Path, model: ModelConfig, vocabulary: int, seed: int, gain: float = 1.0
) -> tuple[Path, TiedLSTM]:
    """Write a checkpoint in which a quarter of the units add about ±1 to their cell at every token.

    `gain` scales the layers' matrices: at 4 and more, rounding errors grow from token to token.
    """
    _, network = write_checkpoint(folder, model, vocabulary, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for layer in network.lstm_layers():
            count = layer.hidden_size // 4
            for name, parameter in layer.named_parameters():
                if ".weight" in f".{name}":
                    parameter.mul_(gain)
            i, f, g, _ = torch.split(layer.get_parameter("bias_ih_l0"), layer.hidden_size)  # views
            i[:count] += 8
            f[:count] += 8
            g[:count] += 8 * torch.randn(count, generator=generator).sign()
    Checkpoint(folder).save("model.pt", {"weights": network.state_dict(), "step": 0})
    return folder, network
