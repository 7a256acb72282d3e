"""The choice of device, CPU threads and number format from the configuration and the machine."""

import os

import torch

from train.config import TrainConfig
from train.errors import ConfigError
from train.runtime.cpu_count import usable_cores


def uses_gpu(config: TrainConfig) -> bool:
    """Return whether training runs on a GPU.

    Raises ConfigError if the configuration requires a GPU and PyTorch finds none.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError('train.device = "cuda": PyTorch finds no GPU; use "auto" or "cpu"')
    return config.device != "cpu" and torch.cuda.is_available()


def set_threads(config: TrainConfig) -> None:
    """Use `train.threads` threads, else OMP_NUM_THREADS, else one thread per usable core.

    PyTorch's own default is the core count of the machine, which ignores control groups.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
        os.environ.setdefault("RAYON_NUM_THREADS", str(config.threads))  # of tokenizers
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))


def training_device(config: TrainConfig, local_rank: int) -> torch.device:
    """Return the process's GPU, or the CPU. Raises ConfigError as `uses_gpu`."""
    return torch.device("cuda", local_rank) if uses_gpu(config) else torch.device("cpu")


def compute_dtype(config: TrainConfig, device: torch.device) -> torch.dtype:
    """Return the number format of matrix products.

    `train.precision = "auto"` means bfloat16 if `device` has instructions for it (AVX512-BF16 or
    AMX on a CPU).
    """
    use_bf16 = config.precision == "bfloat16"
    if config.precision == "auto":
        use_bf16 = (
            torch.cuda.is_bf16_supported()
            if device.type == "cuda"
            else bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        )
    return torch.bfloat16 if use_bf16 else torch.float32
