import pytest
import torch

from train.config import TrainConfig
from train.errors import ConfigError
from train.runtime.hardware import device, multiply_in, uses_gpu


@pytest.mark.parametrize("there", [False, True])
def test_a_gpu_is_used_where_there_is_one_and_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert not uses_gpu(TrainConfig(device="cpu"))
    assert uses_gpu(TrainConfig(device="auto")) == there
    assert device(TrainConfig(), 1) == (torch.device("cuda", 1) if there else torch.device("cpu"))
    if there:
        assert uses_gpu(TrainConfig(device="cuda"))
    else:
        with pytest.raises(ConfigError, match=r'train\.device = "cuda"'):
            uses_gpu(TrainConfig(device="cuda"))


def test_auto_multiplies_in_what_the_hardware_has() -> None:
    cpu = torch.device("cpu")
    assert multiply_in(TrainConfig(precision="float32"), cpu) == torch.float32
    assert multiply_in(TrainConfig(precision="bfloat16"), cpu) == torch.bfloat16
    narrow = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    expected = torch.bfloat16 if narrow else torch.float32
    assert multiply_in(TrainConfig(precision="auto"), cpu) == expected
