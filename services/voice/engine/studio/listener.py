"""The GE2E speaker encoder (Wan et al. 2018) with its gradient: in which direction a waveform sounds more like
somebody.

The encoder is three LSTM layers and a linear one, small enough for numpy; onnxruntime has no gradient of an LSTM.
Backpropagation through time (Werbos 1990) over one window of 1.6 s.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from .. import speaker
from ..port import Samples
from ..spectrum import mel_bank
from .losses import frames

WINDOW: Final = 160
"""Frames of one window, 10 ms each."""
_SIZE, _HOP = 600, 240
"""At 24 kHz what 400 and 160 are at 16 kHz: the same bands, so nothing need be resampled."""
_LAYERS, _HIDDEN = 3, 256
_LEVEL: Final = 10 ** (-24 / 20)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Layer:
    into: Floats
    """(inputs, 4 x hidden): input, output, forget, cell, as ONNX orders them."""
    again: Floats
    bias: Floats


@dataclass
class _Run:
    inputs: Floats
    hidden: Floats
    cells: Floats
    gates: Floats


class Listener:
    """Tells how near 1.6 s of speech is to an embedding. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        stored = {item.name: numpy_helper.to_array(item) for item in onnx.load(path).graph.initializer}
        self._layers = [
            _Layer(
                np.ascontiguousarray(stored[f"W{index}"][0].T),
                np.ascontiguousarray(stored[f"R{index}"][0].T),
                stored[f"B{index}"][0].reshape(2, -1).sum(axis=0),
            )
            for index in range(_LAYERS)
        ]
        self._linear, self._bias = (stored[name] for name in ("projection", "bias"))
        low = mel_bank(rate=speaker.RATE, size=speaker.SIZE, bands=speaker.BANDS, low=0.0, high=speaker.RATE / 2)
        self._bank = np.zeros((speaker.BANDS, _SIZE // 2 + 1), np.float32)
        self._bank[:, : low.shape[1]] = low
        # A longer window sums more samples: powers are brought to what the shorter would give.
        self._bank *= _SIZE * (speaker.SIZE / _SIZE) ** 2

    def embed(self, mel: Floats) -> Floats:
        """(256,) of length 1, of one window (160, 40) of the mel spectrum."""
        return self._forth(mel)[0]

    def measure(self, samples: Samples, target: Floats, channel: Floats) -> tuple[float, Samples]:
        """1 less the cosine to the target, and its gradient to the samples, at 24 kHz and 1.6 s at least;
        `channel` (40,) gains of the bands stand for another microphone."""
        loud = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) + 1e-6
        gain = _LEVEL / loud
        padded = np.pad(samples * np.float32(gain), _SIZE // 2)
        seen = frames(padded, size=_SIZE, hop=_HOP)
        bank = self._bank * channel[:, None]
        mel = (seen.power @ bank.T)[:WINDOW]
        embedding, back = self._forth(mel)
        flow_mel = np.zeros((len(seen.spectrum), speaker.BANDS), np.float32)
        flow_mel[:WINDOW] = back(-target)
        flow = seen.back(flow_mel @ bank)[_SIZE // 2 : _SIZE // 2 + samples.size]
        # The loudness is levelled, so moving all samples alike changes nothing.
        level = float(np.dot(flow.astype(np.float64), samples)) / (samples.size * loud**2)
        return 1 - float(embedding @ target), (gain * (flow - level * samples)).astype(np.float32)

    def _forth(self, mel: Floats) -> tuple[Floats, Any]:
        runs: list[_Run] = []
        inputs = mel
        for layer in self._layers:
            runs.append(_lstm(layer, inputs))
            inputs = runs[-1].hidden
        projected = inputs[-1] @ self._linear + self._bias
        positive = np.maximum(projected, 0)
        length = float(np.linalg.norm(positive)) + 1e-9
        embedding = positive / length

        def back(flow: Floats) -> Floats:
            """(160, 40) gradient to the mel, from that to the embedding."""
            across = (flow - embedding * float(flow @ embedding)) / length * (projected > 0)
            to_hidden = np.zeros_like(inputs)
            to_hidden[-1] = across @ self._linear.T
            for layer, run in zip(reversed(self._layers), reversed(runs), strict=True):
                to_hidden = _lstm_back(layer, run, to_hidden)
            return to_hidden

        return embedding.astype(np.float32), back


def windows(mel: Floats) -> list[Floats]:
    """The mel spectrum (frames, 40) in windows (160, 40) that overlap by half; one, padded by repeating, if short."""
    if len(mel) < WINDOW:
        mel = np.resize(mel, (WINDOW, mel.shape[1]))
    return [mel[start : start + WINDOW] for start in range(0, len(mel) - WINDOW + 1, WINDOW // 2)]


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), np.float32)


def _lstm(layer: _Layer, inputs: Floats) -> _Run:
    steps, size = len(inputs), _HIDDEN
    given = inputs @ layer.into + layer.bias
    hidden, cells = np.zeros((steps, size), np.float32), np.zeros((steps, size), np.float32)
    gates = np.empty((steps, 4 * size), np.float32)
    h = c = np.zeros(size, np.float32)
    for step in range(steps):
        raw = given[step] + h @ layer.again
        gates[step, : 3 * size] = _sigmoid(raw[: 3 * size])
        gates[step, 3 * size :] = np.tanh(raw[3 * size :])
        enter, leave, keep, new = np.split(gates[step], 4)
        c = keep * c + enter * new
        h = leave * np.tanh(c)
        hidden[step], cells[step] = h, c
    return _Run(inputs, hidden, cells, gates)


def _lstm_back(layer: _Layer, run: _Run, to_hidden: Floats) -> Floats:
    steps, size = run.hidden.shape
    flows = np.empty((steps, 4 * size), np.float32)
    turned = np.ascontiguousarray(layer.again.T)
    to_h, to_c = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for step in range(steps - 1, -1, -1):
        enter, leave, keep, new = np.split(run.gates[step], 4)
        bent = np.tanh(run.cells[step])
        before = run.cells[step - 1] if step else np.zeros(size, np.float32)
        to_h = to_h + to_hidden[step]
        to_c = to_c + to_h * leave * (1 - bent**2)
        flows[step] = np.concatenate(
            [
                to_c * new * enter * (1 - enter),
                to_h * bent * leave * (1 - leave),
                to_c * before * keep * (1 - keep),
                to_c * enter * (1 - new**2),
            ]
        )
        to_c = to_c * keep
        to_h = flows[step] @ turned
    return np.asarray(flows @ layer.into.T, np.float32)
