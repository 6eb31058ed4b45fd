"""What a fitted voice brings to the one decoder session that serves all voices."""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from .artefact import Fitted
from .errors import ArtefactCorrupt
from .graph import FEWEST_CHANNELS, Codes, quantise
from .kokoro import Timbre

KEPT: Final = 2
"""Merged voices of the high setting that stay in memory, 25 MB each."""


def stored_weights(decoder: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The decoder's weights by the names of its layers."""
    tensors = {item.name: np.array(numpy_helper.to_array(item)) for item in onnx.load(decoder).graph.initializer}
    coded = [name.removesuffix(":codes") for name in tensors if name.endswith(":codes")]
    return tensors | {name: Codes.of(tensors, name) for name in coded}


class Timbres:
    """Makes timbres; safe to use from several threads."""

    def __init__(self, decoder: Path, affines: int) -> None:
        self._decoder, self._affines = decoder, affines
        self._merged: OrderedDict[bytes, Timbre] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, fitted: Fitted, key: bytes) -> Timbre:
        """The timbre; `key` tells voices apart. Raises ArtefactCorrupt where the numbers do not fit the decoder."""
        if fitted.affines.shape != (self._affines,):
            raise ArtefactCorrupt("the voice artefact does not fit the decoder")
        if not fitted.differences:
            return Timbre(fitted.affines, {})
        with self._lock:
            if key not in self._merged:
                self._merged[key] = Timbre(fitted.affines, merged(stored_weights(self._decoder), fitted))
            self._merged.move_to_end(key)
            while len(self._merged) > KEPT:
                self._merged.popitem(last=False)
            return self._merged[key]


def merged(weights: dict[str, npt.NDArray[np.float32]], fitted: Fitted) -> dict[str, npt.NDArray[Any]]:
    """The convolutions' weights with their low-rank differences added. Raises ArtefactCorrupt."""
    made: dict[str, npt.NDArray[Any]] = {}
    try:
        for layer in {name.rsplit(":", 1)[0] for name in fitted.differences}:
            down, up = fitted.differences[f"{layer}:down"], fitted.differences[f"{layer}:up"]
            weight = weights[f"{layer}.weight"]
            fresh = weight + (up @ down.reshape(len(down), -1)).reshape(weight.shape)
            coded = min(weight.shape[:2]) >= FEWEST_CHANNELS
            made |= quantise(fresh).named(f"{layer}.weight") if coded else {f"{layer}.weight": fresh}
    except (KeyError, ValueError) as error:
        raise ArtefactCorrupt("the voice artefact does not fit the decoder") from error
    return made
