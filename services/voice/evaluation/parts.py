"""What the evaluation is made of; tests and other engines bring other parts."""

from typing import Protocol

from hibari.g2p import G2P  # type: ignore[import-untyped]

from services.voice.engine import KokoroEngine, assets
from services.voice.engine.port import Samples

from .gathering import Transcriber
from .hearing import Ears, Encoders
from .recognition import Recogniser
from .voices import Cloner


class Parts(Protocol):
    """An engine, and who judges it."""

    @property
    def models(self) -> str:
        """The engine's model hash."""
        ...

    @property
    def ears(self) -> Ears:
        """Both encoders."""
        ...

    @property
    def transcriber(self) -> Transcriber:
        """Writes down what is said."""
        ...

    def engine(self) -> Cloner:
        """Loaded now."""
        ...


class Transcription:
    """Speech to text by Whisper, text to sounds by the dictionaries that the engine reads with too."""

    def __init__(self) -> None:
        """Raises EvaluationUnavailable."""
        self._recogniser, self._g2p = Recogniser(), G2P()

    def text(self, samples: Samples) -> str:
        """See `gathering.Transcriber.text`."""
        return self._recogniser.text(samples)

    def sounds(self, text: str) -> int:
        """See `gathering.Transcriber.sounds`."""
        return sum(sound.isalpha() for sound in self._g2p(text))


class RealParts:
    """The built-in engine."""

    def __init__(self) -> None:
        """Raises AssetError, EvaluationUnavailable."""
        self._assets = assets.prepare()
        self.models = self._assets.model_hash
        self.ears: Ears = Encoders(self._assets.speaker)
        self.transcriber: Transcriber = Transcription()

    def engine(self) -> Cloner:
        """On one thread: what fitting takes is said for one core."""
        return KokoroEngine(self._assets, threads=1)
