import pytest
import torch

from train.config import TrainConfig
from train.errors import ConfigError
from train.runtime.hardware import compute_dtype, training_device, uses_gpu


@pytest.mark.parametrize("there", [False, True])
def test_a_wanted_gpu_is_used(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert not uses_gpu(TrainConfig(device="cpu"))
    assert uses_gpu(TrainConfig(device="auto")) == there
    assert training_device(TrainConfig(), 1) == (
        torch.device("cuda", 1) if there else torch.device("cpu")
    )
    if there:
        assert uses_gpu(TrainConfig(device="cuda"))
    else:
        with pytest.raises(ConfigError, match=r'train\.device = "cuda"'):
            uses_gpu(TrainConfig(device="cuda"))


def test_auto_uses_bfloat16_where_the_hardware_has_it() -> None:
    cpu = torch.device("cpu")
    assert compute_dtype(TrainConfig(precision="float32"), cpu) == torch.float32
    assert compute_dtype(TrainConfig(precision="bfloat16"), cpu) == torch.bfloat16
    has_bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    expected = torch.bfloat16 if has_bf16 else torch.float32
    assert compute_dtype(TrainConfig(precision="auto"), cpu) == expected
