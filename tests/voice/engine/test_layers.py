"""The way back of each layer against finite differences of its way forth, in floating point throughout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from services.voice.engine import sessions
from services.voice.engine.graph import Floats, Name
from services.voice.engine.layers import Layers

CHANNELS, TIME, RANK = 4, 12, 2
NUDGE = 5e-3
Build = Callable[[Layers, Name], Name]


def drawn(*shape: int, seed: int) -> Floats:
    """Numbers around nothing, of a length of about 1."""
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


WEIGHTS = {
    "wide.weight": drawn(CHANNELS, CHANNELS, 3, seed=1),
    "wide.bias": drawn(CHANNELS, seed=2),
    "point.weight": drawn(3, CHANNELS, 1, seed=3),
    "joint.weight": drawn(CHANNELS, 2 * CHANNELS, 3, seed=4),
    "up.weight": drawn(CHANNELS, 3, 4, seed=5),
    "up.bias": drawn(3, seed=6),
    "pool.weight": drawn(CHANNELS, 1, 3, seed=7),
    "alpha": np.abs(drawn(1, CHANNELS, 1, seed=8)) + 0.5,
    "basis": drawn(4, 1, 6, seed=9),
}

PLAIN: dict[str, Build] = {
    "norm": lambda tape, x: tape.norm(tape.snake(x, "alpha"), "second:scale", "second:shift"),
    "conv": lambda tape, x: tape.conv(x, "wide", pads=1),
    "conv, dilated": lambda tape, x: tape.conv(x, "wide", pads=3, dilation=3),
    "conv, unpadded": lambda tape, x: tape.conv(x, "wide"),
    "conv, one wide": lambda tape, x: tape.conv(x, "point", biased=False),
    "conv_transpose": lambda tape, x: tape.conv_transpose(x, "up", stride=2, pads=1),
    "conv_transpose in groups": lambda tape, x: tape.conv_transpose(
        x, "pool", stride=2, pads=1, output_padding=1, groups=CHANNELS
    ),
    "snake": lambda tape, x: tape.snake(x, "alpha"),
    "leaky": lambda tape, x: tape.leaky(x, 0.2),
    "times": lambda tape, x: tape.times(x, -0.7),
    "add": lambda tape, x: tape.add(x, tape.snake(x, "alpha"), tape.leaky(x, 0.1)),
    "concat": lambda tape, x: tape.conv(tape.concat([(tape.snake(x, "alpha"), CHANNELS), ("x", CHANNELS)]), "joint"),
    "doubled": lambda tape, x: tape.doubled(x),
    "wave": lambda tape, x: tape.wave(x, bins=2, basis="basis", stride=2, cut=3, gain=1.5),
    "norm after conv": lambda tape, x: tape.norm(tape.conv(x, "wide", pads=1), "second:scale", "second:shift"),
}
WIDENED: dict[str, Build] = {
    "conv": PLAIN["conv"],
    "conv, dilated": PLAIN["conv, dilated"],
    "conv, unpadded": PLAIN["conv, unpadded"],
    "conv, one wide": PLAIN["conv, one wide"],
    "two": lambda tape, x: tape.conv(tape.leaky(tape.conv(x, "wide", pads=1), 0.2), "point"),
}


@dataclass(frozen=True)
class Net:
    """A normalisation, whose scale and shift are fitted, and the layers after it; the loss weighs its output."""

    values: dict[Name, Floats]
    """What is fed: the input, and all that is fitted."""
    loss: Callable[[Mapping[Name, Floats]], float]
    gradients: dict[Name, Floats]
    """By the way back."""

    def numeric(self, name: Name) -> Floats:
        """The gradient to each number of what is fed, by central differences."""
        found = np.zeros_like(self.values[name])
        for place in np.ndindex(found.shape):
            ahead, behind = (self.values[name].copy() for _ in range(2))
            ahead[place] += NUDGE
            behind[place] -= NUDGE
            change = self.loss({**self.values, name: ahead}) - self.loss({**self.values, name: behind})
            found[place] = change / (2 * NUDGE)
        return found


def net(build: Build, *, rank: int = 0, unheard: int = 0) -> Net:
    """The net of some layers; the first `unheard` frames of its output count nothing."""
    tape = Layers(WEIGHTS, gradient=True, rank=rank, exact=True)
    end = build(tape, tape.norm("x", "first:scale", "first:shift"))
    tape.turn(end, "flow")
    values = {"x": 3 * drawn(1, CHANNELS, TIME, seed=10) + 1}
    for index, name in enumerate(sorted(tape.gradients)):
        layer, kind = name.split(":")
        out, *into = WEIGHTS[f"{layer}.weight"].shape if kind in ("down", "up") else (CHANNELS,)
        values[name] = drawn(*{"down": (rank, *into), "up": (out, rank)}.get(kind, (out,)), seed=20 + index)
    saved = [name for name in tape.saved if name not in values]
    forth = sessions.open_model(tape.forth.model([*values], [end, *saved]).SerializeToString(), threads=1)
    output, *kept = forth.run([end, *saved], values)
    weights = drawn(*output.shape, seed=11)
    weights[..., :unheard] = 0
    fed = {**values, **dict(zip(saved, kept, strict=True)), "flow": weights}
    names = sorted(tape.gradients)
    outputs = [tape.gradients[name] for name in names]
    back = sessions.open_model(tape.back.model([*fed], outputs).SerializeToString(), threads=1)
    gradients = back.run(outputs, fed)
    return Net(
        values,
        lambda feeds: float((forth.run([end], dict(feeds))[0].astype(np.float64) * weights).sum()),
        dict(zip(names, gradients, strict=True)),
    )


def check(made: Net) -> None:
    """Compares each gradient with its numeric one."""
    for name, gradient in made.gradients.items():
        numeric = made.numeric(name)
        scale = np.abs(numeric).max()

        assert scale > 0.05, name
        np.testing.assert_allclose(gradient, numeric, atol=0.02 * scale, rtol=0.02, err_msg=name)


@pytest.mark.parametrize("layer", PLAIN)
def test_the_gradient_of_a_layer(layer: str) -> None:
    check(net(PLAIN[layer]))


@pytest.mark.parametrize("layer", WIDENED)
def test_the_gradient_to_low_rank_differences(layer: str) -> None:
    made = net(WIDENED[layer], rank=RANK)

    assert sum(name.endswith((":down", ":up")) for name in made.gradients) in (2, 4)
    check(made)


def test_the_gradient_past_a_reflection_but_for_the_reflected_frame() -> None:
    check(net(lambda tape, x: tape.led_in(x), unheard=1))


def test_a_stride_after_what_is_fitted_is_refused() -> None:
    with pytest.raises(ValueError, match="wide has a stride"):
        net(lambda tape, x: tape.conv(x, "wide", stride=2))
