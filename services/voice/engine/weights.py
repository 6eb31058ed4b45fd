"""Turns the GE2E weights, stored in torch's old pickle format, into an ONNX graph; needs no torch.

The unpickler builds tensors and nothing else: any other global in the file is refused.
"""

import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from .errors import AssetCorrupt

Floats: TypeAlias = npt.NDArray[np.float32]
_MAGIC: Final = 0x1950A86A20F9469CFC6C
_LAYERS: Final = 3


def read(path: Path) -> dict[str, Floats]:
    """Name -> array of a legacy torch checkpoint's `model_state`. Raises AssetCorrupt."""
    with path.open("rb") as file:
        try:
            if _Tensors(file).load() != _MAGIC:
                raise AssetCorrupt(f"{path.name} is not a torch checkpoint", file=path.name)
            for _ in ("protocol", "system"):
                _Tensors(file).load()
            state = _Tensors(file).load()["model_state"]
            storages = {}
            for key in _Tensors(file).load():
                (count,) = struct.unpack("<q", file.read(8))
                storages[key] = np.frombuffer(file.read(4 * count), "<f4")
            return {
                name: np.asarray(storages[key][offset : offset + int(np.prod(shape))].reshape(shape), np.float32)
                for name, (key, offset, shape) in state.items()
            }
        except (pickle.UnpicklingError, KeyError, struct.error, ValueError, EOFError) as error:
            raise AssetCorrupt(f"{path.name} cannot be read: {error}", file=path.name) from error


def speaker_encoder(weights: dict[str, Floats]) -> onnx.ModelProto:
    """GE2E: `mel` (windows, 160 frames, 40 bands) -> `embedding` (windows, 256), each of length 1."""
    stored: dict[str, npt.NDArray[Any]] = {"axis0": np.array([0], np.int64), "axis1": np.array([1], np.int64)}
    nodes = [helper.make_node("Transpose", ["mel"], ["x0"], perm=[1, 0, 2])]
    for layer in range(_LAYERS):
        biases = [_gates(weights[f"lstm.bias_{kind}_l{layer}"]) for kind in ("ih", "hh")]
        stored[f"W{layer}"] = _gates(weights[f"lstm.weight_ih_l{layer}"])[None]
        stored[f"R{layer}"] = _gates(weights[f"lstm.weight_hh_l{layer}"])[None]
        stored[f"B{layer}"] = np.concatenate(biases)[None]
        nodes += [
            helper.make_node(
                "LSTM",
                [f"x{layer}", f"W{layer}", f"R{layer}", f"B{layer}"],
                [f"y{layer}", f"h{layer}"],
                hidden_size=256,
            ),
            helper.make_node("Squeeze", [f"y{layer}", "axis1"], [f"x{layer + 1}"]),
        ]
    stored["projection"] = np.ascontiguousarray(weights["linear.weight"].T)
    stored["bias"] = weights["linear.bias"]
    nodes += [
        helper.make_node("Squeeze", [f"h{_LAYERS - 1}", "axis0"], ["last"]),
        helper.make_node("MatMul", ["last", "projection"], ["projected"]),
        helper.make_node("Add", ["projected", "bias"], ["shifted"]),
        helper.make_node("Relu", ["shifted"], ["raw"]),
        helper.make_node("ReduceL2", ["raw"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["raw", "length"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "ge2e",
        [helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["windows", "frames", 40])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["windows", 256])],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def _gates(stacked: Floats) -> Floats:
    """Torch stacks the gates i, f, g, o; ONNX i, o, f, c."""
    i, f, g, o = np.split(stacked, 4)
    return np.concatenate([i, o, f, g])


class _Tensors(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "torch._utils" and name.startswith("_rebuild_tensor"):
            return lambda storage, offset, shape, stride, *rest: (storage[2], offset, shape)
        if module == "torch" and name.endswith("Storage"):
            return name
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"{module}.{name} is no tensor")

    def persistent_load(self, pid: Any) -> Any:
        return pid
