"""The file `weights.bin`: the tensors of both graphs, each stored once, as ONNX external data."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

FILE = "weights.bin"
ALIGNMENT = 64


class WeightsFile:
    """The content of `weights.bin` under construction."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._tensors: dict[str, TensorProto] = {}

    @property
    def content(self) -> bytes:
        return bytes(self._content)

    def tensor(self, name: str, values: NDArray[np.generic]) -> TensorProto:
        """Return an initializer that points into the file. Each name is stored once."""
        if name not in self._tensors:
            self._content += bytes(-len(self._content) % ALIGNMENT)
            data = np.ascontiguousarray(values).tobytes()
            tensor = TensorProto(
                name=name,
                dims=values.shape,
                data_type=helper.np_dtype_to_tensor_dtype(values.dtype),
                data_location=TensorProto.EXTERNAL,
            )
            place = {"location": FILE, "offset": len(self._content), "length": len(data)}
            for key, value in place.items():
                tensor.external_data.append(onnx.StringStringEntryProto(key=key, value=str(value)))
            self._content += data
            self._tensors[name] = tensor
        return self._tensors[name]
