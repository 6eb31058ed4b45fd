"""Kokoro's decoder, written anew: faster than as it was exported, and with a gradient.

The exported graph spells every adaptive instance normalisation out in nine nodes; here each is one
(`InstanceNormalization`), and its numbers, 58 scales and shifts that a style gives through as many linear layers,
are one input, AFFINES, so that one session serves every voice, fitted or not. The architecture is that of
StyleTTS 2 with iSTFTNet (Li et al. 2023; Kaneko et al. 2022).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from . import rewrite
from .assets import Norm
from .errors import AssetCorrupt
from .graph import Floats, Name
from .layers import Layers
from .seam import AFFINES, ENERGY, FEATURES, PITCH, SOURCE

TIMBRE: Final = 128
"""Numbers of a style that reach the decoder."""
_ROOT: Final = "/decoder/decoder/"
_STORED: Final = "decoder.decoder."
_HOP, _BINS, _CUT, _GAIN = 5, 11, 10, 4.0
_BASIS: Final = "inverse_basis"
_FRAME: Final = 120
"""Frames of the source to one frame of the features."""


class Weights:
    """The decoder's weights, by the names of its layers, read from the exported graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Raises AssetCorrupt where the graph is not the one that is known."""
        stored = {item.name: item for item in model.graph.initializer}
        self.convolutions: dict[Name, Floats] = {}
        linear: dict[str, tuple[Floats, Floats]] = {}
        for node in model.graph.node:
            if node.op_type in ("Conv", "ConvTranspose") and node.output[0].startswith(_ROOT):
                self._take(node, stored)
        for name, item in stored.items():
            short = name.removeprefix(_STORED)
            if ".alpha" in name:
                self.convolutions[short] = np.array(numpy_helper.to_array(item), np.float32)
            if name.endswith(".fc.bias") and name.startswith(_STORED):
                layer = short.removesuffix(".fc.bias")
                weight = stored[f"{_STORED}{layer}.fc.weight_float"]
                linear[layer] = (_floats(weight), _floats(item))
        if _BASIS not in self.convolutions or len(linear) < 58:
            raise AssetCorrupt("the Kokoro decoder is not the one that is known")
        self.norms: dict[str, Norm] = {}
        start = 0
        for name in sorted(linear):
            size = linear[name][1].size
            self.norms[name] = Norm(name, start, size // 2)
            start += size
        self.matrix = np.concatenate([linear[name][0] for name in sorted(linear)], axis=1)
        """(128, affines)"""
        self.offset = np.concatenate([linear[name][1] for name in sorted(linear)])

    def _take(self, node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> None:
        if node.input[1] not in stored:
            return
        if "istft" in node.output[0]:
            self.convolutions[_BASIS] = _floats(stored[node.input[1]])
            return
        name = node.output[0].removeprefix(_ROOT)
        for ending in ("_output_0", "/ConvTranspose", "/Conv"):
            name = name.removesuffix(ending)
        name = name.replace("/", ".")
        self.convolutions[f"{name}.weight"] = _floats(stored[node.input[1]])
        if len(node.input) > 2:
            self.convolutions[f"{name}.bias"] = _floats(stored[node.input[2]])


def _floats(item: onnx.TensorProto) -> Floats:
    return np.array(numpy_helper.to_array(item), np.float32)


@dataclass(frozen=True)
class Parts:
    """The decoder taken apart."""

    source: onnx.ModelProto
    """PITCH -> SOURCE."""
    decoder: onnx.ModelProto
    """FEATURES, PITCH, ENERGY, AFFINES -> waveform (1, samples) at 24 kHz; the weights of the convolutions, under
    their layers' names and in 8 bits (`graph.Codes`), may be given anew with every run."""
    weights: Weights


def rebuild(exported: onnx.ModelProto, *, exact: bool = False) -> Parts:
    """The parts of an exported decoder (`rewrite.cut`); `exact` in floating point throughout. Raises AssetCorrupt."""
    weights = Weights(exported)
    tape = Layers(weights.convolutions, exact=exact)
    wave = Decoder(weights.convolutions, weights.norms, tape).wave()
    nodes, needed = rewrite.reaching(exported.graph.node, [SOURCE], stop=())
    stored = [item for item in exported.graph.initializer if item.name in needed]
    graph = tape.forth
    source = _model(exported, nodes, stored, [PITCH], [SOURCE])
    whole = _model(
        exported,
        [*nodes, *graph.nodes],
        [*stored, *graph.stored.values()],
        [FEATURES, PITCH, ENERGY, AFFINES, *tape.replaceable],
        [wave],
    )
    return Parts(source, whole, weights)


def _model(
    exported: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    stored: list[onnx.TensorProto],
    inputs: list[Name],
    outputs: list[Name],
) -> onnx.ModelProto:
    known = {item.name: (item.data_type, list(item.dims)) for item in stored}
    values = [helper.make_tensor_value_info(name, *known.get(name, (onnx.TensorProto.FLOAT, None))) for name in inputs]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "kokoro", values, ends, stored)
    model = helper.make_model(graph, opset_imports=exported.opset_import)
    model.ir_version = exported.ir_version
    return model


class Decoder:
    """The layers, on a tape."""

    def __init__(self, weights: Mapping[Name, Floats], norms: Mapping[str, Norm], tape: Layers) -> None:
        self._weights, self._norms, self._tape = weights, norms, tape

    def wave(self) -> Name:
        """(1, samples) from FEATURES, PITCH, ENERGY, SOURCE and AFFINES, 600 samples to a frame of features."""
        tape = self._tape
        pitch, energy = (
            tape.conv(self._curve(name), f"{layer}", pads=1, stride=2)
            for name, layer in ((PITCH, "F0_conv"), (ENERGY, "N_conv"))
        )
        x = self._block(tape.concat([(FEATURES, 512), (pitch, 1), (energy, 1)]), "encode")
        rest = tape.conv(FEATURES, "asr_res.asr_res.0")
        for index in range(4):
            joined = tape.concat([(x, self._channels(x, index)), (rest, 64), (pitch, 1), (energy, 1)])
            x = self._block(joined, f"decode.{index}", double=index == 3)
        for index, (stride, pads, source_stride, source_pads) in enumerate(((10, 5, 6, 3), (6, 3, 1, 0))):
            x = tape.leaky(x, 0.1)
            source = tape.conv(SOURCE, f"generator.noise_convs.{index}", stride=source_stride, pads=source_pads)
            source = self._residual(source, f"generator.noise_res.{index}")
            x = tape.conv_transpose(x, f"generator.ups.{index}", stride=stride, pads=pads)
            if index == 1:
                x = tape.led_in(x)
            x = tape.add(x, source)
            branches = [self._residual(x, f"generator.resblocks.{3 * index + branch}") for branch in range(3)]
            x = tape.times(tape.add(*branches), 1 / 3)
        x = tape.conv(tape.leaky(x, 0.01), "generator.conv_post", pads=3)
        return tape.wave(x, bins=_BINS, basis=_BASIS, stride=_HOP, cut=_CUT, gain=_GAIN)

    def _channels(self, x: Name, index: int) -> int:
        weight = self._weights[f"decode.{index}.conv1.weight"]
        return int(weight.shape[1]) - 66

    def _curve(self, name: Name) -> Name:
        graph = self._tape.forth
        return graph.add("Reshape", name, graph.axes(1, 1, -1))

    def _norm(self, x: Name, name: str) -> Name:
        norm = self._norms[name]
        tape, middle, end = self._tape, norm.start + norm.channels, norm.start + 2 * norm.channels
        scale, shift = f"{name}:scale", f"{name}:shift"
        for graph in (tape.forth, tape.back):
            less = graph.add("Slice", AFFINES, graph.axes(norm.start), graph.axes(middle))
            graph.add("Add", less, graph.number(1.0), name=scale)
            graph.add("Slice", AFFINES, graph.axes(middle), graph.axes(end), name=shift)
        return tape.norm(x, scale, shift)

    def _block(self, x: Name, name: str, *, double: bool = False) -> Name:
        tape = self._tape
        h = tape.leaky(self._norm(x, f"{name}.norm1"), 0.2)
        if double:
            channels = int(self._weights[f"{name}.pool.weight"].shape[0])
            h = tape.conv_transpose(h, f"{name}.pool", stride=2, pads=1, output_padding=1, groups=channels)
            x = tape.doubled(x)
        h = tape.conv(h, f"{name}.conv1", pads=1, biased=False)
        h = tape.leaky(self._norm(h, f"{name}.norm2"), 0.2)
        h = tape.conv(h, f"{name}.conv2", pads=1)
        return tape.times(tape.add(h, tape.conv(x, f"{name}.conv1x1")), float(1 / np.sqrt(2)))

    def _residual(self, x: Name, name: str) -> Name:
        tape = self._tape
        for index, dilation in enumerate((1, 3, 5)):
            h = tape.snake(self._norm(x, f"{name}.adain1.{index}"), f"{name}.alpha1.{index}")
            size = self._weights[f"{name}.convs1.{index}.weight"].shape[2]
            reach = dilation * (size - 1) // 2
            h = tape.conv(h, f"{name}.convs1.{index}", pads=reach, dilation=dilation, biased=False)
            h = tape.snake(self._norm(h, f"{name}.adain2.{index}"), f"{name}.alpha2.{index}")
            x = tape.add(x, tape.conv(h, f"{name}.convs2.{index}", pads=(size - 1) // 2))
        return x
