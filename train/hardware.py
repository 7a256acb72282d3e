"""Which device trains, and in which precision it multiplies."""

import torch

from train.config import TrainConfig
from train.errors import ConfigError


def uses_gpu(config: TrainConfig) -> bool:
    """Raises ConfigError for a GPU that is asked for and not there."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError('train.device = "cuda": PyTorch sees no GPU here; "auto" takes the CPU')
    return config.device != "cpu" and torch.cuda.is_available()


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
