"""A network written down once, as an ONNX graph that runs it and, where asked, a second one that gives its gradient.

onnxruntime computes, so that fitting a voice needs no more packages than speaking in it. Reverse-mode
differentiation (Griewank and Walther 2008) over the few layers that the decoder is made of: each layer adds its
nodes to the forward graph and notes how its gradient goes back; what the way back reads of the way forth becomes
an output of the one graph and an input of the other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Name: TypeAlias = str
"""Of a tensor in a graph."""

Floats: TypeAlias = npt.NDArray[np.float32]

OPSET: Final = 20
EPSILON: Final = 1e-5
FEWEST_CHANNELS: Final = 64
"""Of a convolution that is done in whole numbers; rounding costs more than it saves in smaller ones."""


@dataclass(frozen=True)
class Codes:
    """A weight in 8 bits: (codes - zero) * step."""

    codes: npt.NDArray[np.uint8]
    zero: np.uint8
    step: np.float32

    def named(self, name: Name) -> dict[Name, npt.NDArray[Any]]:
        """The three as tensors of a weight of this name."""
        return {
            f"{name}:codes": self.codes,
            f"{name}:zero": np.array(self.zero),
            f"{name}:step": np.array(self.step),
        }

    @staticmethod
    def of(tensors: Mapping[Name, npt.NDArray[Any]], name: Name) -> Floats:
        """The weight that `named` has taken apart."""
        codes, zero = tensors[f"{name}:codes"].astype(np.float32), np.float32(tensors[f"{name}:zero"])
        return np.asarray((codes - zero) * tensors[f"{name}:step"], np.float32)


def quantise(weight: Floats) -> Codes:
    """The weight in 8 bits of its own range; one that comes from 8 bits of its range comes back as it was."""
    low, high = min(float(weight.min()), 0.0), max(float(weight.max()), 0.0)
    step = max(high - low, 1e-9) / 255
    zero = round(-low / step)
    return Codes(np.clip(np.round(weight / step) + zero, 0, 255).astype(np.uint8), np.uint8(zero), np.float32(step))


class Graph:
    """An ONNX graph that grows node by node."""

    def __init__(self, prefix: str, *, exact: bool = False) -> None:
        """`exact` does without whole numbers."""
        self._prefix, self._exact, self._count = prefix, exact, 0
        self.nodes: list[onnx.NodeProto] = []
        self.stored: dict[Name, onnx.TensorProto] = {}

    def add(self, kind: str, *inputs: Name, name: Name = "", **attributes: Any) -> Name:
        """Adds a node; gives its output, under this name or one of its own."""
        self._count += 1
        output = name or f"{self._prefix}{self._count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def store(self, name: Name, value: npt.ArrayLike, *, kind: npt.DTypeLike = np.float32) -> Name:
        """Keeps an array under a name, once."""
        if name not in self.stored:
            # Not ascontiguousarray, which would make a list of a number.
            self.stored[name] = numpy_helper.from_array(np.array(value, kind, order="C"), name)
        return name

    def axes(self, *axes: int) -> Name:
        """A small list of integers."""
        return self.store("ints:" + ",".join(map(str, axes)), axes, kind=np.int64)

    def number(self, value: float) -> Name:
        """A scalar."""
        return self.store(f"number:{value!r}", np.float32(value))

    def convolved(self, x: Name, name: Name, weight: Floats, **shape: Any) -> Name:
        """Convolution of x with a weight (out, in, kernel), kept under this name.

        Large ones are done in whole numbers: what comes in is rounded to 8 bits of its own range, and the weight is
        kept in 8 bits, of which it is made anyway. Signed values with unsigned weights are the pair for which
        onnxruntime has a fast kernel: 0.45 of the time of floating point, where others take 0.8 to 3.3.
        """
        if self._exact or min(weight.shape[:2]) < FEWEST_CHANNELS:
            return self.add("Conv", x, self.store(name, weight), **shape)
        codes = quantise(weight)
        for ending, value in codes.named(name).items():
            self.store(ending, value, kind=value.dtype)
        highest, lowest = self.add("ReduceMax", x, keepdims=0), self.add("ReduceMin", x, keepdims=0)
        reach = self.add("Max", highest, self.add("Neg", lowest), self.number(1e-9))
        step = self.add("Mul", reach, self.number(1 / 127))
        zero = self.store("zero:int8", 0, kind=np.int8)
        rounded = self.add("QuantizeLinear", x, step, zero)
        summed = self.add("ConvInteger", rounded, f"{name}:codes", zero, f"{name}:zero", **shape)
        unit = self.add("Mul", step, f"{name}:step")
        return self.add("Mul", self.add("Cast", summed, to=onnx.TensorProto.FLOAT), unit)

    def model(self, inputs: Sequence[Name], outputs: Sequence[Name]) -> onnx.ModelProto:
        """The model of this graph."""
        values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in inputs]
        ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "decoder", values, ends, list(self.stored.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 9
        return model


class Tape:
    """The layers. Tensors are (1, channels, time) unless said otherwise.

    With `gradient`, every layer also notes its way back, unless nothing that is fitted lies before it.
    """

    def __init__(
        self, weights: Mapping[Name, Floats], *, gradient: bool = False, rank: int = 0, exact: bool = False
    ) -> None:
        """`weights` of the convolutions by name; with `rank`, each gets a low-rank difference that is fitted too
        (LoRA; Hu et al. 2021): inputs `{name}:down` (rank, in, kernel) and `{name}:up` (out, rank). `exact`
        computes in floating point throughout."""
        self.forth, self.back = Graph("f", exact=exact), Graph("b", exact=exact)
        self._weights, self._gradient, self._rank = weights, gradient, rank
        self._steps: list[Callable[[], None]] = []
        self._flows: dict[Name, Name] = {}
        self._alive: set[Name] = set()
        self.saved: list[Name] = []
        self.fitted: list[Name] = []
        """Inputs to which the gradient is given, in the order of their first use."""
        self.gradients: dict[Name, Name] = {}
        self.replaceable: list[Name] = []
        """Weights that a voice may bring of its own."""

    def weight(self, name: Name) -> Name:
        """A stored weight of the way forth."""
        return self.forth.store(name, self._weights[name])

    def conv(
        self,
        x: Name,
        name: str,
        *,
        pads: int = 0,
        dilation: int = 1,
        stride: int = 1,
        biased: bool = True,
    ) -> Name:
        """Convolution with `{name}.weight` (out, in, kernel) and `{name}.bias`, if there is one; not `biased` where a
        normalisation follows, which would take the bias out again."""
        weight = self._weights[f"{name}.weight"]
        shape: dict[str, Any] = {
            "dilations": [dilation],
            "strides": [stride],
            "kernel_shape": [weight.shape[2]],
            "pads": [pads, pads],
        }
        y = self.forth.convolved(x, f"{name}.weight", weight, **shape)
        self.replaceable += [stored for stored in self.forth.stored if stored.startswith(f"{name}.weight")]
        if biased and f"{name}.bias" in self._weights:
            bias = self.forth.store(f"{name}.bias", self._weights[f"{name}.bias"].reshape(1, -1, 1))
            y = self.forth.add("Add", y, bias)
        widened = self._rank and stride == 1 and min(weight.shape[:2]) > self._rank
        if self._follows(y, x):
            if stride != 1:
                raise ValueError(f"{name} has a stride, and something fitted before it")
            flipped = np.flip(weight.transpose(1, 0, 2), 2)
            reach = dilation * (weight.shape[2] - 1) - pads
            back: dict[str, Any] = {**shape, "pads": [reach, reach]}

            def step() -> None:
                flow = self._flow(y)
                if flow and x in self._alive:
                    self._add_flow(x, self.back.convolved(flow, f"{name}.weight:turned", flipped, **back))

            self._steps.append(step)
        return self._with_difference(x, y, name, weight, pads, dilation) if widened else y

    def _with_difference(self, x: Name, y: Name, name: str, weight: Floats, pads: int, dilation: int) -> Name:
        down, up = f"{name}:down", f"{name}:up"
        self.fitted += [down, up]
        size = weight.shape[2]
        shape: dict[str, Any] = {"dilations": [dilation], "strides": [1], "kernel_shape": [size], "pads": [pads, pads]}
        narrow = self.forth.add("Conv", x, down, **shape)
        difference = self.forth.add("MatMul", up, narrow)
        total = self.forth.add("Add", y, difference)
        self._alive.add(total)

        def step() -> None:
            flow = self._flow(total)
            if flow is None:
                return
            back = self.back
            h = self._save(narrow)
            # (out, time) x (time, rank)
            self.gradients[up] = back.add(
                "Squeeze", back.add("MatMul", flow, back.add("Transpose", h, perm=[0, 2, 1])), back.axes(0)
            )
            into = back.add("MatMul", back.add("Transpose", up, perm=[1, 0]), flow)
            padded = self._save(x)
            if pads:
                padded = back.add("Pad", padded, back.axes(0, 0, pads, 0, 0, pads))
            turned = back.add("Transpose", padded, perm=[0, 2, 1])
            length = back.add("Shape", into, start=2, end=3)
            parts = []
            for tap in range(size):
                start = back.axes(tap * dilation)
                end = back.add("Add", length, start)
                window = back.add("Slice", turned, start, end, back.axes(1))
                parts.append(back.add("Unsqueeze", back.add("MatMul", into, window), back.axes(3)))
            joined = back.add("Concat", *parts, axis=3) if size > 1 else parts[0]
            self.gradients[down] = back.add("Squeeze", joined, back.axes(0))
            self._add_flow(y, flow)
            if x in self._alive:
                # (rank, in, kernel) -> (in, rank, kernel reversed)
                swapped = back.add("Transpose", down, perm=[1, 0, 2])
                reverse = back.add("Slice", swapped, back.axes(-1), back.axes(-size - 1), back.axes(2), back.axes(-1))
                reach = dilation * (size - 1) - pads
                self._add_flow(x, back.add("Conv", into, reverse, **{**shape, "pads": [reach, reach]}))

        self._steps.append(step)
        return total

    def conv_transpose(
        self, x: Name, name: str, *, stride: int, pads: int, output_padding: int = 0, groups: int = 1
    ) -> Name:
        """Transposed convolution with `{name}.weight` (in, out / groups, kernel) and `{name}.bias`."""
        weight = self._weights[f"{name}.weight"]
        shape: dict[str, Any] = {
            "strides": [stride],
            "kernel_shape": [weight.shape[2]],
            "pads": [pads, pads],
            "group": groups,
        }
        y = self.forth.add(
            "ConvTranspose",
            x,
            self.weight(f"{name}.weight"),
            *([self.weight(f"{name}.bias")] if f"{name}.bias" in self._weights else []),
            **shape,
            output_padding=[output_padding],
        )
        if self._follows(y, x):

            def step() -> None:
                flow = self._flow(y)
                if flow:
                    # The transpose of the transpose; what only the output padding reached has no input.
                    kernel = self.back.store(f"{name}.weight", weight)
                    self._add_flow(x, self.back.add("Conv", flow, kernel, **shape))

            self._steps.append(step)
        return y

    def norm(self, x: Name, scale: Name, shift: Name) -> Name:
        """Instance normalisation over time, then `scale` and `shift`, both (channels,) and fitted (AdaIN; Huang and
        Belongie 2017)."""
        y = self.forth.add("InstanceNormalization", x, scale, shift, epsilon=EPSILON)
        self._alive.add(y)

        def step() -> None:
            flow = self._flow(y)
            if flow is None:
                return
            back, time = self.back, self.back.axes(2)
            saved = self._save(x)
            centred = back.add("Sub", saved, back.add("ReduceMean", saved, time))
            variance = back.add("ReduceMean", back.add("Mul", centred, centred), time)
            deviation = back.add("Sqrt", back.add("Add", variance, back.number(EPSILON)))
            normal = back.add("Div", centred, deviation)
            product = back.add("Mul", flow, normal)
            self.gradients[scale] = back.add("ReduceSum", product, back.axes(0, 2), keepdims=0)
            self.gradients[shift] = back.add("ReduceSum", flow, back.axes(0, 2), keepdims=0)
            if x in self._alive:
                rest = back.add("Sub", flow, back.add("ReduceMean", flow, time))
                rest = back.add("Sub", rest, back.add("Mul", normal, back.add("ReduceMean", product, time)))
                gain = back.add("Div", back.add("Unsqueeze", scale, back.axes(0, 2)), deviation)
                self._add_flow(x, back.add("Mul", rest, gain))

        self._steps.append(step)
        return y

    def snake(self, x: Name, name: str) -> Name:
        """x + sin²(a x) / a with `name` (1, channels, 1) as a (Ziyin et al. 2020)."""
        frequency = self._weights[name]
        forth = self.forth
        sine = forth.add("Sin", forth.add("Mul", x, self.weight(name)))
        inverse = forth.store(f"{name}:inverse", 1 / frequency)
        y = forth.add("Add", x, forth.add("Mul", forth.add("Mul", sine, sine), inverse))
        if self._follows(y, x):

            def step() -> None:
                flow = self._flow(y)
                if flow:
                    double = self.back.store(f"{name}:double", 2 * frequency)
                    slope = self.back.add("Sin", self.back.add("Mul", self._save(x), double))
                    self._add_flow(x, self.back.add("Add", flow, self.back.add("Mul", flow, slope)))

            self._steps.append(step)
        return y

    def leaky(self, x: Name, slope: float) -> Name:
        """max(x, slope · x)."""
        y = self.forth.add("LeakyRelu", x, alpha=slope)
        if self._follows(y, x):

            def step() -> None:
                flow = self._flow(y)
                if flow:
                    back = self.back
                    positive = back.add("Greater", self._save(x), back.number(0.0))
                    gain = back.add("Where", positive, back.number(1.0), back.number(slope))
                    self._add_flow(x, back.add("Mul", flow, gain))

            self._steps.append(step)
        return y

    def add(self, *terms: Name) -> Name:
        """The sum of tensors of one shape."""
        y = terms[0]
        for term in terms[1:]:
            y = self.forth.add("Add", y, term)
        if self._follows(y, *terms):

            def step() -> None:
                flow = self._flow(y)
                if flow:
                    for term in terms:
                        self._add_flow(term, flow)

            self._steps.append(step)
        return y

    def times(self, x: Name, factor: float) -> Name:
        """A tensor times a number."""
        y = self.forth.add("Mul", x, self.forth.number(factor))
        if self._follows(y, x):

            def step() -> None:
                flow = self._flow(y)
                if flow:
                    self._add_flow(x, self.back.add("Mul", flow, self.back.number(factor)))

            self._steps.append(step)
        return y

    def concat(self, parts: Sequence[tuple[Name, int]]) -> Name:
        """The parts, each with its number of channels, one above the other."""
        y = self.forth.add("Concat", *(name for name, _ in parts), axis=1)
        if self._follows(y, *(name for name, _ in parts)):

            def step() -> None:
                flow = self._flow(y)
                if flow is None:
                    return
                start = 0
                for name, channels in parts:
                    if name in self._alive:
                        back = self.back
                        part = back.add("Slice", flow, back.axes(start), back.axes(start + channels), back.axes(1))
                        self._add_flow(name, part)
                    start += channels

            self._steps.append(step)
        return y

    def doubled(self, x: Name) -> Name:
        """Every frame twice."""
        forth = self.forth
        y = forth.add(
            "Resize",
            x,
            "",
            forth.store("scales:2", np.array([1, 1, 2])),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        if self._follows(y, x):

            def step() -> None:
                flow = self._flow(y)
                if flow:
                    back = self.back
                    pairs = back.add("Reshape", flow, back.axes(0, 0, -1, 2))
                    self._add_flow(x, back.add("ReduceSum", pairs, back.axes(3), keepdims=0))

            self._steps.append(step)
        return y

    def led_in(self, x: Name) -> Name:
        """One frame more at the start, a reflection: the second frame."""
        forth = self.forth
        second = forth.add("Slice", x, forth.axes(1), forth.axes(2), forth.axes(2))
        y = forth.add("Concat", second, x, axis=2)
        if self._follows(y, x):

            def step() -> None:
                flow = self._flow(y)
                if flow:
                    # The reflected frame's own share is left out: one frame in thousands.
                    back = self.back
                    last = back.store("last", [np.iinfo(np.int64).max], kind=np.int64)
                    self._add_flow(x, back.add("Slice", flow, back.axes(1), last, back.axes(2)))

            self._steps.append(step)
        return y

    def wave(self, x: Name, *, bins: int, basis: str, stride: int, cut: int, gain: float) -> Name:
        """(1, samples): the inverse short-time Fourier transform of log magnitudes and the phases' angles, both
        `bins` channels of x, the phase being the sine of what the network says (iSTFTNet; Kaneko et al. 2022)."""
        forth = self.forth
        last = forth.store("last", [np.iinfo(np.int64).max], kind=np.int64)
        magnitude = forth.add("Exp", forth.add("Slice", x, forth.axes(0), forth.axes(bins), forth.axes(1)))
        angle_in = forth.add("Slice", x, forth.axes(bins), last, forth.axes(1))
        angle = forth.add("Sin", angle_in)
        cosine, sine = forth.add("Cos", angle), forth.add("Sin", angle)
        real, imaginary = forth.add("Mul", magnitude, cosine), forth.add("Mul", magnitude, sine)
        kernel = self._weights[basis]
        shape: dict[str, Any] = {"strides": [stride], "kernel_shape": [kernel.shape[2]]}
        summed = forth.add("ConvTranspose", forth.add("Concat", real, imaginary, axis=1), self.weight(basis), **shape)
        kept = forth.add("Slice", summed, forth.axes(cut), forth.axes(-cut), forth.axes(2))
        y = forth.add("Squeeze", forth.add("Mul", kept, forth.number(gain)), forth.axes(1))
        self._alive.add(y)

        def step() -> None:
            flow = self._flow(y)
            if flow is None:
                return
            back = self.back
            flow = back.add("Mul", back.add("Unsqueeze", flow, back.axes(1)), back.number(gain))
            flow = back.add("Pad", flow, back.axes(0, 0, cut, 0, 0, cut))
            both = back.add("Conv", flow, back.store(basis, kernel), **shape)
            to_real = back.add("Slice", both, back.axes(0), back.axes(bins), back.axes(1))
            to_imaginary = back.add("Slice", both, back.axes(bins), back.axes(2 * bins), back.axes(1))
            real_, imaginary_ = self._save(real), self._save(imaginary)
            # magnitude is an exponential: its own derivative.
            to_logs = back.add("Add", back.add("Mul", to_real, real_), back.add("Mul", to_imaginary, imaginary_))
            to_angle = back.add("Sub", back.add("Mul", to_imaginary, real_), back.add("Mul", to_real, imaginary_))
            to_angle = back.add("Mul", to_angle, back.add("Cos", self._save(angle_in)))
            self._add_flow(x, back.add("Concat", to_logs, to_angle, axis=1))

        self._steps.append(step)
        return y

    def turn(self, end: Name, flow: Name) -> None:
        """Writes the way back, from the gradient `flow` to the tensor `end` to all that is fitted."""
        self._flows[end] = flow
        for step in reversed(self._steps):
            step()

    def _follows(self, y: Name, *inputs: Name) -> bool:
        if self._gradient and any(name in self._alive for name in inputs):
            self._alive.add(y)
            return True
        return False

    def _flow(self, y: Name) -> Name | None:
        return self._flows.pop(y, None)

    def _add_flow(self, x: Name, flow: Name) -> None:
        if x in self._alive:
            before = self._flows.get(x)
            self._flows[x] = flow if before is None else self.back.add("Add", before, flow)

    def _save(self, name: Name) -> Name:
        if name not in self.saved:
            self.saved.append(name)
        return name
