"""A network written down once, as an ONNX graph that runs it and, where asked, a second one that gives its gradient.

onnxruntime computes, so that fitting a voice needs no more packages than speaking in it. Reverse-mode
differentiation (Griewank and Walther 2008) over the few layers that the decoder is made of: each layer adds its
nodes to the forward graph and notes how its gradient goes back; what the way back reads of the way forth becomes
an output of the one graph and an input of the other.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .graph import Floats, Graph, Name

__all__ = ["Tape"]


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
