"""The check of consent that comes with the platform: speech recognition listens for the phrase in the recordings.

It shows that a recording was made for this, and not taken from somewhere. It does not show that nobody played a
synthetic voice to it.
"""

from __future__ import annotations

from services.voice import phrases
from services.voice.engine import audio
from services.voice.engine.errors import RecordingError
from services.voice.engine.port import never
from services.voice.engine.studio import transcription

LISTENED_SECONDS = 120
"""How much of each recording is listened to, from its beginning."""


class SpokenPhrase:
    """A `ConsentCheck`."""

    def missing(self) -> str:
        """What it lacks to be able to check, for people to read; empty if nothing."""
        return "" if transcription.recognises() else "speech recognition is not installed (make studio)"

    def heard(self, recordings: list[bytes], phrase: str) -> bool:
        """Whether the phrase is spoken in the first two minutes of one of the recordings; one that cannot be decoded
        says nothing."""
        return any(self._spoken(recording, phrase) for recording in recordings)

    def _spoken(self, recording: bytes, phrase: str) -> bool:
        try:
            samples = audio.decode(recording, sample_rate=transcription.RATE).samples
        except RecordingError:
            return False
        found = transcription.stretches(samples[: LISTENED_SECONDS * transcription.RATE], never)
        lines = transcription.written(found, "", cancelled=never) if found else []
        # Sure or not: words that were drawn at random are not what a recogniser expects.
        return phrases.spoken(phrase, " ".join(line.text for line in lines))
