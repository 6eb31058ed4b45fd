"""The decoder with its gradient, run by onnxruntime: what fitting a voice is made of.

Two graphs (`tape`): one way forth, which also gives what the way back needs, and one way back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped]

from . import sessions
from .assets import Norm
from .decoder import Decoder
from .graph import Floats, Name
from .layers import Layers
from .seam import AFFINES, ENERGY, FEATURES, PITCH, SOURCE

_FLOW: Final = "flow"


@dataclass(frozen=True)
class Passed:
    """What one way forth leaves for the way back."""

    wave: Floats
    """(samples,)"""
    saved: list[Any]


class GradientDecoder:
    """Gives waveforms, and the gradient of any loss of them, to the affines and, with a rank, to low-rank
    differences of the convolutions. For one thread at a time."""

    def __init__(
        self,
        weights: Mapping[Name, Floats],
        norms: Mapping[str, Norm],
        *,
        threads: int,
        rank: int = 0,
        exact: bool = False,
    ) -> None:
        """`exact` computes in floating point throughout: twice as slow, and what tests compare with."""
        tape = Layers(weights, gradient=True, rank=rank, exact=exact)
        self._wave = Decoder(weights, norms, tape).wave()
        tape.turn(self._wave, _FLOW)
        self.differences = tuple(tape.fitted)
        """Names of the low-rank factors, in the order of the layers."""
        self.sizes: dict[Name, tuple[int, ...]] = {}
        for name in self.differences:
            layer, end = name.rsplit(":", 1)
            out, into, kernel = weights[f"{layer}.weight"].shape
            self.sizes[name] = (rank, into, kernel) if end == "down" else (out, rank)
        parts = []
        for name in sorted(norms, key=lambda name: norms[name].start):
            parts += [tape.gradients[f"{name}:scale"], tape.gradients[f"{name}:shift"]]
        to_affines = tape.back.add("Concat", *parts, axis=0)
        data = [FEATURES, PITCH, ENERGY, SOURCE, AFFINES]
        saved = [name for name in tape.saved if name not in data]
        self._back_data = [name for name in tape.saved if name in data]
        self._back_outputs = [to_affines, *(tape.gradients[name] for name in self.differences)]
        self._saved = saved
        forth = tape.forth.model([*data, *self.differences], [self._wave, *saved])
        back = tape.back.model([_FLOW, AFFINES, *self._back_data, *saved, *self.differences], self._back_outputs)
        self._forth, self._back = (_session(model, threads) for model in (forth, back))

    def forth(self, feeds: Mapping[Name, Floats]) -> Passed:
        """The waveform of features, pitch, energy, source, affines and differences."""
        values = {name: ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value)) for name, value in feeds.items()}
        wave, *saved = self._forth.run_with_ort_values([self._wave, *self._saved], values)
        return Passed(wave.numpy().reshape(-1), saved)

    def back(self, passed: Passed, flow: Floats, feeds: Mapping[Name, Floats]) -> dict[Name, Floats]:
        """The gradients to AFFINES and to each difference, from the gradient to the waveform (samples,)."""
        given = {_FLOW: flow[None], AFFINES: feeds[AFFINES]}
        given |= {name: feeds[name] for name in (*self._back_data, *self.differences)}
        values = {name: ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value)) for name, value in given.items()}
        values |= dict(zip(self._saved, passed.saved, strict=True))
        known = {item.name for item in self._back.get_inputs()}
        outputs = self._back.run_with_ort_values(
            self._back_outputs, {name: value for name, value in values.items() if name in known}
        )
        return {name: value.numpy() for name, value in zip((AFFINES, *self.differences), outputs, strict=True)}


def _session(model: onnx.ModelProto, threads: int) -> ort.InferenceSession:
    return sessions.open_model(model.SerializeToString(), threads=threads)
