"""What the engine tells of the recordings that a voice was learnt from."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class Note:
    """One thing about the recordings that a person should know, none of which stopped the learning."""

    code: str
    """Stable, UPPER_SNAKE; docs/engine.md lists them."""
    message: str
    """The same for people, with what to do about it."""


@dataclass(frozen=True)
class Part:
    """One recording's part in a voice."""

    recording: int
    """From 0."""
    speech_seconds: float
    used_seconds: float
    """0 where it was left out."""
    snr_db: float
    """Speech above the noise in the pauses, a rough estimate in dB, 0 to 60."""
    clipping_ratio: float
    """Share of the file's samples at full scale, 0 to 1."""
    bandwidth_hz: int
    """Highest frequency that holds speech energy."""
    decay_seconds: float | None
    """In what time speech dies away by 60 dB, where it does so fastest: under 0.2 in a dry room; None if unknown."""
    notes: tuple[Note, ...]


class Expectation(StrEnum):
    """How like the person the voice will be, as far as the recordings decide that."""

    GOOD = "GOOD"
    """As like as the engine makes it."""
    FAIR = "FAIR"
    """Noticeably less."""
    POOR = "POOR"
    """Hardly more like the person than a stranger of the same pitch."""


@dataclass(frozen=True)
class Report:
    """What the engine found in the recordings."""

    recordings: int
    recording_seconds: float
    """All audio decoded, pauses included."""
    speech_seconds: float
    """Speech found in it."""
    used_seconds: float
    """Speech that the voice was learnt from: the best of it."""
    sample_rate: int
    """The lowest of the recordings, in Hz."""
    channels: int
    """The most of the recordings."""
    codecs: tuple[str, ...]
    snr_db: float
    """Speech above the noise in the pauses, a rough estimate in dB, 0 to 60."""
    clipping_ratio: float
    """Share of samples at full scale, 0 to 1."""
    bandwidth_hz: int
    """Highest frequency that holds speech energy."""
    pitch_hz: float
    """Median of the voice's pitch."""
    notes: tuple[Note, ...]
    """Of all recordings."""
    decay_seconds: float | None
    """Of what was used, as in `Part`."""
    single_speaker: float | None
    """Cosine between the two halves of the speech that differ most, -1 to 1: one person's are above 0.8. None where
    there is too little speech to tell."""
    expected_similarity: float
    """How much of what tells the person from others of the same sex is left in the recordings, 0 to 1, as predicted
    from noise, room, bandwidth, clipping and length."""
    expectation: Expectation
    """The same in a word."""
    parts: tuple[Part, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON types."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain
