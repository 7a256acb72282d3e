"""Which device trains, on how many threads, and in which precision it multiplies."""

import os

import torch

from train.config import TrainConfig
from train.errors import ConfigError
from train.runtime.cpu_count import usable_cores


def uses_gpu(config: TrainConfig) -> bool:
    """Raises ConfigError for a GPU that is asked for and not there."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError('train.device = "cuda": PyTorch sees no GPU here; "auto" takes the CPU')
    return config.device != "cpu" and torch.cuda.is_available()


def use_threads(config: TrainConfig) -> None:
    """Use `threads` of the configuration, or OMP_NUM_THREADS, or a thread for each usable core:
    PyTorch counts the cores of the machine, which a control group may not give.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
        os.environ.setdefault("RAYON_NUM_THREADS", str(config.threads))  # of tokenizers
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))


def device(config: TrainConfig, local_rank: int) -> torch.device:
    return torch.device("cuda", local_rank) if uses_gpu(config) else torch.device("cpu")


def multiply_in(config: TrainConfig, on: torch.device) -> torch.dtype:
    """bfloat16 where it is asked for, or where `"auto"` finds instructions for it (AVX512-BF16 or
    AMX on a CPU).
    """
    narrow = config.precision == "bfloat16"
    if config.precision == "auto":
        narrow = (
            torch.cuda.is_bf16_supported()
            if on.type == "cuda"
            else bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        )
    return torch.bfloat16 if narrow else torch.float32
