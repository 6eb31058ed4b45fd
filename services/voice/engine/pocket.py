"""Pocket TTS (Kyutai 2025) behind the port: `pip install 'voicemesh[pocket]'`.

Its weights are the user's own affair: they are read from the Hugging Face cache and never downloaded by an engine.
`python -m services.voice.engine.pocket` fetches them, once the user has accepted their terms and logged in.
"""

import hashlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import soxr  # type: ignore[import-untyped]

from . import artefact as artefacts
from . import languages, level, reference, seams, tempo, text
from .errors import (
    ArtefactCorrupt,
    AssetMissing,
    Cancelled,
    ConversionUnavailable,
    EngineUnusable,
    RefinementUnavailable,
    SpeedOutOfRange,
    SsmlUnsupported,
    TierUnsupported,
)
from .port import (
    DEFAULT_LANGUAGE,
    MAXIMUM_CONVERSION_S,
    MAXIMUM_SPEED,
    MINIMUM_SPEED,
    CancelCheck,
    Chunk,
    Depth,
    Enrolment,
    Level,
    Markup,
    Progress,
    Refinement,
    Refines,
    Samples,
    Tier,
    never,
    unheard,
)
from .recordings import RATE

NAME: Final = "pocket-v1"
RECIPE: Final = "1"
"""Raised whenever what an artefact's numbers mean changes."""
CONFIG: Final = "pocket.yaml"
"""In the folder of the models, a model of one's own; without it, the library's English one."""
_OFFLINE: Final = "HF_HUB_OFFLINE"
_POLL_S: Final = 0.05

State: TypeAlias = dict[str, dict[str, Any]]
"""What the model remembers: tensors by module and name."""


class PocketEngine:
    """Implements `port.Engine`. One model a process; calls take turns at it, a sentence at a time."""

    name: str = NAME
    tiers: frozenset[Tier] = frozenset({Tier.NATURAL})
    refines: Refines = Refines.NEVER
    languages = languages.ENGLISH

    def __init__(self, model: Any, *, maximum_seconds: float = 600.0) -> None:
        """`model` is a `pocket_tts.TTSModel`. Raises EngineUnusable when it cannot clone voices."""
        if not model.has_voice_cloning:
            raise EngineUnusable(
                "these weights of Pocket TTS are those without voice cloning: accept the terms of kyutai/pocket-tts "
                "on the hub, log in, and run `python -m services.voice.engine.pocket`"
            )
        self._model = model
        self._turn = threading.Lock()
        self._maximum_seconds = maximum_seconds
        self.sample_rate: int = model.sample_rate
        self.model_hash: str = _hash(model)

    def enrol(
        self, recordings: Sequence[bytes], *, progress: Progress = unheard, cancelled: CancelCheck = never
    ) -> Enrolment:
        """See `port.Engine.enrol`. The artefact is what the model remembers of the speech: some megabytes."""
        import torch
        from safetensors.torch import save

        heard = reference.listen(
            recordings, maximum_seconds=self._maximum_seconds, progress=progress, cancelled=cancelled
        )
        progress("listening", 50)
        samples = np.asarray(soxr.resample(heard.samples, RATE, self.sample_rate), np.float32)
        with self._alone(cancelled):
            state = self._model.get_state_for_audio_prompt(torch.from_numpy(samples)[None], truncate=True)
        tensors = {
            f"{module}/{key}": (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
            for module, part in state.items()
            for key, tensor in part.items()
        }
        header = {"engine": self.name, "model_hash": self.model_hash, "level": Level.INSTANT.value}
        progress("done", 100)
        return Enrolment(artefacts.pack(header, save(tensors)), heard.report)

    def refine(
        self,
        artefact: bytes,
        recordings: Sequence[bytes],
        *,
        transcripts: Sequence[str] = (),
        depth: Depth = Depth.STANDARD,
        progress: Progress = unheard,
        cancelled: CancelCheck = never,
    ) -> Refinement:
        """Raises RefinementUnavailable: this model is not fitted to a person."""
        raise RefinementUnavailable(f"{self.name} cannot be fitted to a person")

    def convert(
        self,
        artefact: bytes,
        recording: bytes,
        *,
        transcript: str = "",
        maximum_seconds: float = MAXIMUM_CONVERSION_S,
        progress: Progress = unheard,
        cancelled: CancelCheck = never,
    ) -> Iterator[Chunk]:
        """Raises ConversionUnavailable: nobody can tell this model when to say what."""
        raise ConversionUnavailable(f"{self.name} cannot say a recording again")

    def speak(
        self,
        artefact: bytes,
        text: str,
        *,
        language: str = DEFAULT_LANGUAGE,
        markup: Markup = Markup.PLAIN,
        speed: float = 1.0,
        tier: Tier = Tier.NATURAL,
        cancelled: CancelCheck = never,
    ) -> Iterator[Chunk]:
        """See `port.Engine.speak`. The same text in the same voice is the same speech."""
        state = self._state(artefact)
        languages.chosen(language, self.languages)
        if markup is not Markup.PLAIN:
            raise SsmlUnsupported(f"{self.name} reads no SSML")
        if not MINIMUM_SPEED <= speed <= MAXIMUM_SPEED:
            raise SpeedOutOfRange(f"the speed must lie between {MINIMUM_SPEED} and {MAXIMUM_SPEED}, not {speed}")
        if tier not in self.tiers:
            raise TierUnsupported(f"{self.name} does not speak at the tier {tier}", tier=str(tier))
        return self._spoken(state, _sentences(text), speed, cancelled)

    def _state(self, artefact: bytes) -> State:
        import safetensors
        from safetensors.torch import load as tensors_of

        _, content = artefacts.unpack(artefact, engine=self.name, model_hash=self.model_hash)
        state: State = {}
        try:
            for name, tensor in tensors_of(content).items():
                module, key = name.split("/")
                state.setdefault(module, {})[key] = tensor.float() if tensor.is_floating_point() else tensor
        except (safetensors.SafetensorError, ValueError) as error:
            raise ArtefactCorrupt() from error
        return state

    def _spoken(
        self,
        state: State,
        sentences: Sequence[tuple[str, bool]],
        speed: float,
        cancelled: CancelCheck,
    ) -> Iterator[Chunk]:
        for index, (sentence, paragraph) in enumerate(sentences):
            with self._alone(cancelled):
                said = self._say(state, sentence, cancelled)
            pause = seams.Pause.PARAGRAPH if paragraph else seams.Pause.SENTENCE
            if index == len(sentences) - 1:
                pause = seams.Pause.END
            paced = tempo.paced(seams.trimmed(level.limited(said), self.sample_rate), self.sample_rate, speed)
            silence = seams.silence(pause, rate=self.sample_rate, speed=speed)
            yield Chunk(np.concatenate([level.limited(paced), silence]))

    def _say(self, state: State, sentence: str, cancelled: CancelCheck) -> Samples:
        import torch

        # The model draws noise from the one generator that the library has.
        torch.manual_seed(int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:4], "little"))
        stop, frames = threading.Event(), []
        for frame in self._model.generate_audio_stream(state, sentence, copy_state=True, stop=stop):
            # Its threads end by themselves once it is stopped, so what is left is waited for and thrown away.
            if not stop.is_set() and cancelled():
                stop.set()
            frames.append(frame.numpy())
        if stop.is_set() or cancelled():
            raise Cancelled()
        return np.concatenate([np.zeros(0, np.float32), *frames]).astype(np.float32)

    @contextmanager
    def _alone(self, cancelled: CancelCheck) -> Iterator[None]:
        """The model for one call alone: it is not safe to use from two threads. Raises Cancelled."""
        while not self._turn.acquire(timeout=_POLL_S):
            if cancelled():
                raise Cancelled()
        try:
            if cancelled():
                raise Cancelled()
            yield
        finally:
            self._turn.release()


def load(*, models: Path | None, threads: int) -> PocketEngine:
    """The engine with the weights that are in the user's hub cache, or named in `pocket.yaml` in `models`.

    See `registry.Loader`. Downloads nothing. Raises AssetMissing where the weights are not there, EngineUnusable where
    the library is not installed, or the weights cannot clone.
    """
    # Read by the hub's library once, when it is imported.
    os.environ[_OFFLINE] = "1"
    try:
        import torch
        from huggingface_hub import constants
        from pocket_tts import TTSModel
    except ImportError as error:
        raise EngineUnusable(f"Pocket TTS is not installed: pip install 'voicemesh[pocket]' ({error})") from error
    if not constants.HF_HUB_OFFLINE:
        raise EngineUnusable(f"the hub was imported before {NAME} was loaded, and would download: set {_OFFLINE}=1")
    torch.set_num_threads(threads)
    return PocketEngine(_model(TTSModel, models))


def _model(library: Any, models: Path | None) -> Any:
    own = None if models is None else models / CONFIG
    if own is None or not own.is_file():
        own = None
    elif "http://" in (written := own.read_text("utf-8")) or "https://" in written:
        raise EngineUnusable(f"{own} names weights by web address, which would be downloaded: name files or hf://")
    try:
        return library.load_model(config=own)
    except OSError as error:  # The hub's errors for a file that is not in its cache are of this kind.
        raise AssetMissing(
            f"the weights of Pocket TTS are not there ({error}): run `python -m services.voice.engine.pocket`"
        ) from error


def _hash(model: Any) -> str:
    """SHA-256 of the recipe, the configuration without its paths, the tokenizer and every weight."""
    paths: dict[str, Any] = {
        "weights_path": True,
        "weights_path_without_voice_cloning": True,
        "flow_lm": {"weights_path": True, "lookup_table": {"tokenizer_path"}},
        "mimi": {"weights_path"},
    }
    config = model.config.model_dump_json(exclude=paths)
    found = hashlib.sha256(f"{NAME} {RECIPE} {config}".encode())
    found.update(model.flow_lm.conditioner.tokenizer.serialize()[1])
    for name, tensor in sorted(model.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(memoryview(tensor.detach().contiguous().numpy()).cast("B") if tensor.numel() else b"")
    return found.hexdigest()


def _sentences(written: str) -> list[tuple[str, bool]]:
    return list(text.sentences(text.check_text(written)))


def main() -> int:
    """Fetches the weights into the user's hub cache, as they have asked for by calling this."""
    from pocket_tts import TTSModel

    model = TTSModel.load_model()
    print("Pocket TTS is ready" if model.has_voice_cloning else "these weights cannot clone: see the terms on the hub")
    return 0 if model.has_voice_cloning else 1


if __name__ == "__main__":
    sys.exit(main())
