"""ONNX sessions on the CPU, and a way to stop one in the middle of its work."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime as ort  # type: ignore[import-untyped]

from .errors import AssetCorrupt, Cancelled
from .port import CancelCheck, never

_POLL_S = 0.05

Session: TypeAlias = ort.InferenceSession


def open_session(path: Path, *, threads: int) -> ort.InferenceSession:
    """A session that may be run from several threads at once. Raises AssetCorrupt."""
    try:
        return open_model(str(path), threads=threads)
    except Exception as error:
        # onnxruntime's own exceptions share no base class.
        raise AssetCorrupt(f"the model file {path.name} cannot be loaded: {error}", file=path.name) from error


def open_model(model: str | bytes, *, threads: int) -> ort.InferenceSession:
    """The same of a path, or of a model's bytes, with onnxruntime's own exceptions."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle threads that spin would take the cores from the other half of the model, and from everybody else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(
    session: ort.InferenceSession,
    feeds: Mapping[str, npt.NDArray[Any]],
    outputs: list[str] | None = None,
    *,
    cancelled: CancelCheck = never,
) -> list[npt.NDArray[Any]]:
    """The outputs, in order. Raises Cancelled within about 0.1 s of `cancelled` turning true."""
    if cancelled is never:
        return [np.asarray(value) for value in session.run(outputs, dict(feeds))]
    if cancelled():
        raise Cancelled()
    options = ort.RunOptions()
    options.log_severity_level = 4
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_POLL_S):
            if cancelled():
                options.terminate = True
                return

    watcher = threading.Thread(target=watch, name="cancel-watch", daemon=True)
    watcher.start()
    try:
        return [np.asarray(value) for value in session.run(outputs, dict(feeds), options)]
    except Exception as error:
        if options.terminate:
            raise Cancelled() from error
        raise
    finally:
        done.set()
        watcher.join()
