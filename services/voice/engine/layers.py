"""The layers of the decoder that are more than a convolution or a sum, each with its way back (`tape`)."""

from typing import Any, Final

import numpy as np

from .graph import Name
from .tape import Tape

EPSILON: Final = 1e-5


class Layers(Tape):
    """A tape that knows the decoder's own layers. Tensors are (1, channels, time) unless said otherwise."""

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
