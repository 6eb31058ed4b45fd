"""What to say about recordings: notes where a voice can be learnt all the same, refusals where it cannot.

Where the limits lie, and how they were found, is in docs/engine.md.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from .errors import ClippedBadly, MusicBehind, RecordingError, TooNoisy, TooReverberant
from .recordings import Heard
from .report import Expectation, Note

SHORT_SPEECH_S: Final = 8.0
CLIPPED_RATIO: Final = 0.001
NARROW_HZ: Final = 5500
ECHO_S: Final = 0.36
CLEAN_DB: Final = 20.0
"""With more than this between speech and noise, nothing is done about the noise: clones were measured to lose by it."""
_STEADY_DB: Final = 12.0
"""Words that are taken for pauses look like noise; noise does not stop between them."""
_TONAL: Final = 0.18
_NOISY_DB, _LEAST_DB = 15.0, 3.0
_MUSIC_DB, _MUSIC_LEAST_DB = 28.0, 6.0
_MOST_CLIPPED: Final = 0.12
_MOST_ECHO_S: Final = 0.62
_NOISE_LEAVES: Final = ((3.0, 0.4), (6.0, 0.68), (11.0, 0.83), (20.0, 0.93), (28.0, 1.0))
_MUSIC_LEAVES: Final = ((5.0, 0.5), (8.0, 0.65), (12.0, 0.8), (20.0, 0.94), (28.0, 1.0))
_ROOM_LEAVES: Final = ((0.36, 0.85), (0.47, 0.74), (0.53, 0.65), (0.6, 0.53))
_LENGTH_LEAVES: Final = ((4.0, 0.8), (8.0, 0.94), (12.0, 1.0))
_CLIPPING_LEAVES: Final = ((0.001, 1.0), (0.02, 0.7), (0.06, 0.55), (0.19, 0.16))
_NARROW_LEAVES: Final = 0.2
_GOOD, _FAIR = 0.8, 0.5
_QUIET: Final = 10 ** (-40 / 20)


def refusal(heard: Heard) -> RecordingError | None:
    """Why no voice can be learnt from this recording, if so."""
    clipped = _clipped(heard)
    if clipped > _MOST_CLIPPED:
        return ClippedBadly(
            f"{100 * clipped:.0f} % of the recording is at full scale: record it again, softer or "
            "farther from the microphone",
            clipping_ratio=f"{clipped:.4f}",
        )
    if _musical(heard) and heard.snr_db < _MUSIC_LEAST_DB:
        return MusicBehind(
            f"music plays only {heard.snr_db:.0f} dB below the speech: record it again without music",
            signal_to_noise_db=f"{heard.snr_db:.1f}",
        )
    if heard.snr_db < _LEAST_DB and heard.steady_db < _STEADY_DB:
        return TooNoisy(
            f"the speech is only {heard.snr_db:.0f} dB above the noise: find a quieter room, or speak nearer to the "
            "microphone",
            signal_to_noise_db=f"{heard.snr_db:.1f}",
        )
    if heard.decay_seconds is not None and heard.decay_seconds > _MOST_ECHO_S:
        return TooReverberant(
            "the room echoes so much that it covers the voice: find a room with carpet, curtains or full shelves, and "
            "speak nearer to the microphone",
            decay_seconds=f"{heard.decay_seconds:.2f}",
        )
    return None


def notes(heard: Heard) -> list[Note]:
    """What keeps this recording from being a better one, and what was done about it."""
    found = []
    clipped = heard.file.clipped
    if clipped > CLIPPED_RATIO:
        found.append(Note("CLIPPED", f"{100 * clipped:.1f} % of the recording is at full scale: record it softer"))
    if heard.bandwidth_hz < NARROW_HZ:
        message = f"nothing above {heard.bandwidth_hz} Hz, as on a telephone: the clone is guessed there"
        found.append(Note("NARROWBAND", message))
    if _musical(heard):
        message = f"music plays {heard.snr_db:.0f} dB below the speech and colours the voice: record without it"
        found.append(Note("BACKGROUND_MUSIC", message))
    elif heard.snr_db < _NOISY_DB:
        found.append(Note("NOISY", f"the speech is only {heard.snr_db:.0f} dB above the noise: find a quieter room"))
    if echoing(heard):
        message = "the room echoes, and the clone will sound a little of it: find a softer room, speak nearer"
        found.append(Note("REVERBERANT", message))
    if heard.hum_hz:
        mains = 50 if heard.hum_hz[0] % 50 == 0 else 60
        message = f"the hum of {mains} Hz mains was taken out: a battery or another cable avoids it"
        found.append(Note("HUM", message))
    if heard.offset:
        message = f"a constant {100 * heard.offset:+.0f} % of full scale was taken out: the sound card adds it"
        found.append(Note("OFFSET", message))
    if heard.peak < _QUIET:
        found.append(Note("QUIET", "the recording is very quiet: speak nearer to the microphone"))
    if heard.file.channels > 1:
        found.append(Note("STEREO_MIXED_DOWN", f"{heard.file.channels} channels were mixed to one"))
    return found


def together(parts: Sequence[Sequence[Note]]) -> list[Note]:
    """The notes of all recordings, each kind once: the worst is not known here, so the first is kept."""
    kinds: dict[str, Note] = {}
    for each in parts:
        for note in each:
            kinds.setdefault(note.code, note)
    return list(kinds.values())


def echoing(heard: Heard) -> bool:
    """Whether the room is heard; under noise that is not known."""
    return heard.decay_seconds is not None and heard.snr_db >= _NOISY_DB and heard.decay_seconds > ECHO_S


def expected_similarity(heard: Heard, seconds: float) -> float:
    """How much of what tells a person from others of the same sex is left in `seconds` of speech as in this recording,
    0 to 1: the product of what noise, room, bandwidth, clipping and length were measured to leave, each by itself."""
    behind = _MUSIC_LEAVES if _musical(heard) else _NOISE_LEAVES
    left = _at(heard.snr_db, behind) * _at(seconds, _LENGTH_LEAVES) * _at(_clipped(heard), _CLIPPING_LEAVES)
    if echoing(heard) and heard.decay_seconds is not None:
        left *= _at(heard.decay_seconds, _ROOM_LEAVES)
    return left * (_NARROW_LEAVES if heard.bandwidth_hz < NARROW_HZ else 1.0)


def expectation(similarity: float) -> Expectation:
    """The same in a word."""
    if similarity >= _GOOD:
        return Expectation.GOOD
    return Expectation.FAIR if similarity >= _FAIR else Expectation.POOR


def _at(value: float, points: Sequence[tuple[float, float]]) -> float:
    at, left = zip(*points, strict=True)
    return float(np.interp(value, at, left))


def _musical(heard: Heard) -> bool:
    return heard.tonality is not None and heard.tonality > _TONAL and heard.snr_db < _MUSIC_DB


def _clipped(heard: Heard) -> float:
    """Share of the speech at full scale, in the file or in its mix of channels."""
    mixed = sum(take.clipped * take.seconds for take in heard.takes) / max(heard.seconds, 1e-9)
    return max(heard.file.clipped, mixed)
