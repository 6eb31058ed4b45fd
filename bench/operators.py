"""Which operators of the models the time goes to, by onnxruntime's own profile."""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort  # type: ignore[import-untyped]

from services.voice.engine.assets import Assets
from services.voice.engine.kokoro import Kokoro
from services.voice.engine.phonemes import Phonemes
from services.voice.engine.seam import AFFINES, DURATIONS, ENERGY, FEATURES, PITCH
from services.voice.evaluation.sentences import TWO_CLAUSES

RUNS: Final = 4


def shares(models: Assets, *, threads: int) -> dict[str, dict[str, float]]:
    """Half of the model -> operator -> its share of the time of both halves, of one sentence."""
    kokoro = Kokoro(models, threads=threads)
    tokens = Phonemes(models.vocabulary()).tokens(TWO_CLAUSES)
    pack = next(iter(models.styles().values()))
    score = kokoro.score(tokens, pack)
    encoder: dict[str, npt.NDArray[Any]] = {
        "tokens": np.array([[0, *tokens, 0]], np.int64),
        "style": score.style,
        "speed": np.ones(1, np.float32),
    }
    decoder = {
        FEATURES: score.features,
        PITCH: score.pitch,
        ENERGY: score.energy,
        AFFINES: kokoro.timbre(score.style[0]),
    }
    spent = {
        "encoder": _profile(models.encoder, encoder, [FEATURES, PITCH, ENERGY, DURATIONS], threads),
        "decoder": _profile(models.decoder, decoder, None, threads),
    }
    total = sum(counter.total() for counter in spent.values())
    return {half: {name: time / total for name, time in counter.most_common()} for half, counter in spent.items()}


def _profile(
    model: Path, feeds: Mapping[str, npt.NDArray[Any]], outputs: list[str] | None, threads: int
) -> "Counter[str]":
    """Microseconds by operator, of all runs but the first."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        for _ in range(RUNS):
            session.run(outputs, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    runs = sorted(event["ts"] for event in events if event["name"] == "model_run")
    spent: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time") and event["ts"] >= runs[1]:
            spent[event["args"]["op_name"]] += event["dur"]
    return spent
