"""Rewrites the int8 Kokoro graph: float weights, and a cut between what is said and how it sounds.

The int8 graph quantises activations as it runs, which costs time (measured: real-time factor 1.1 against
0.83 on one thread) and adds noise. Each ConvInteger or MatMulInteger with its dynamic quantisation becomes one
float Conv or MatMul with dequantised weights. The cut gives an encoder (phonemes -> features, F0 in Hz, energy,
durations) and a decoder (those -> waveform), so F0 can be set in Hz inside the network.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from .errors import AssetCorrupt
from .seam import DURATIONS, ENERGY, FEATURES, PITCH

QUANTISED_NODES: Final = 235


def dequantise(source: Path) -> onnx.ModelProto:
    """The graph of the int8 file with float weights; outputs and inputs as before. Raises AssetCorrupt."""
    model = onnx.load(source)
    graph = model.graph
    weights = _Weights(graph)
    maker = {output: node for node in graph.node for output in node.output}
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    replaced: dict[int, onnx.NodeProto] = {}
    for node in graph.node:
        if node.op_type in ("ConvInteger", "MatMulInteger"):
            last, bias = _tail(node, maker, users)
            quantiser = maker[node.input[0]]
            inputs = [quantiser.input[0], weights.float_name(node)]
            if node.op_type == "MatMulInteger":
                replacement = helper.make_node("MatMul", inputs, [last.output[0]], name=f"{node.name}_float")
            else:
                inputs += [bias] if bias else []
                replacement = helper.make_node("Conv", inputs, [last.output[0]], name=f"{node.name}_float")
                replacement.attribute.extend(node.attribute)
            replaced[id(last)] = replacement
    if len(replaced) != QUANTISED_NODES:
        raise AssetCorrupt(f"the Kokoro graph has {len(replaced)} quantised nodes, not {QUANTISED_NODES}")
    nodes = [replaced.get(id(node), node) for node in graph.node]
    kept, needed = reaching(nodes, [output.name for output in graph.output], stop=())
    del graph.node[:]
    graph.node.extend(kept)
    weights.install(needed)
    del graph.value_info[:]
    return model


def cut(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The encoder (tokens, style, speed -> FEATURES, PITCH, ENERGY, DURATIONS) and the decoder
    (FEATURES, PITCH, ENERGY, style -> waveform (1, samples) at 24 kHz)."""
    seam = [FEATURES, PITCH, ENERGY]
    floats = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in seam]
    durations = helper.make_tensor_value_info(DURATIONS, onnx.TensorProto.INT64, None)
    encoder = _part(model, outputs=[*floats, durations], seam=[])
    decoder = _part(model, outputs=[model.graph.output[0]], seam=floats)
    return encoder, decoder


def _part(
    model: onnx.ModelProto, *, outputs: list[onnx.ValueInfoProto], seam: list[onnx.ValueInfoProto]
) -> onnx.ModelProto:
    graph = model.graph
    nodes, needed = reaching(graph.node, [value.name for value in outputs], stop={value.name for value in seam})
    inputs = [*seam, *(value for value in graph.input if value.name in needed)]
    weights = [weight for weight in graph.initializer if weight.name in needed]
    part = helper.make_model(
        helper.make_graph(nodes, "kokoro", inputs, outputs, weights), opset_imports=model.opset_import
    )
    part.ir_version = model.ir_version
    return part


def reaching(
    nodes: Iterable[onnx.NodeProto], outputs: Iterable[str], *, stop: Iterable[str]
) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes that the outputs depend on, in order, and every name they read; `stop` names are given."""
    needed, stops = set(outputs), set(stop)
    kept = []
    for node in reversed(list(nodes)):
        if any(output in needed and output not in stops for output in node.output):
            kept.append(node)
            needed.update(name for name in node.input if name)
    return kept[::-1], needed


def _tail(
    node: onnx.NodeProto, maker: dict[str, onnx.NodeProto], users: dict[str, list[onnx.NodeProto]]
) -> tuple[onnx.NodeProto, str | None]:
    """The Mul by the scales that ends an integer node's chain, and the name of the bias added on the way."""
    bias = None
    current = node
    for _ in range(4):
        following = users[current.output[0]]
        if len(following) != 1:
            break
        current = following[0]
        if current.op_type == "Mul":
            return current, bias
        if current.op_type == "Add":
            origin = next(name for name in current.input if name in maker and maker[name].op_type == "Reshape")
            while origin in maker:
                origin = maker[origin].input[0]
            bias = origin
    raise AssetCorrupt(f"the Kokoro graph is not as expected at {node.name}")


class _Weights:
    """The graph's weights, of which the quantised ones are turned to float when asked for."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._stored = {weight.name: weight for weight in graph.initializer}
        self._floats: dict[str, onnx.TensorProto] = {}

    def float_name(self, node: onnx.NodeProto) -> str:
        quantised = node.input[1]
        name = f"{quantised.removesuffix('_quantized')}_float"
        if name not in self._floats:
            scale_name = quantised.replace("_quantized", "_scale")
            if quantised not in self._stored or scale_name not in self._stored:
                raise AssetCorrupt(f"the Kokoro graph has no weights for {node.name}")
            weight = numpy_helper.to_array(self._stored[quantised]).astype(np.float32)
            scale: npt.NDArray[np.float32] = numpy_helper.to_array(self._stored[scale_name]).astype(np.float32)
            zero: npt.NDArray[np.float32] = np.zeros((), np.float32)
            if len(node.input) > 3:
                zero = numpy_helper.to_array(self._stored[node.input[3]]).astype(np.float32)
            if node.op_type == "ConvInteger" and np.size(zero) > 1:
                per_channel = (-1, *[1] * (weight.ndim - 1))
                zero = zero.reshape(per_channel)
                scale = scale.reshape(per_channel)
            self._floats[name] = numpy_helper.from_array(((weight - zero) * scale).astype(np.float32), name)
        return name

    def install(self, needed: set[str]) -> None:
        kept = [weight for weight in self._graph.initializer if weight.name in needed]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)
        for name in sorted(self._floats):
            self._graph.initializer.append(self._floats.pop(name))
