"""From recordings to the reference: the best half minute of speech in them, and what to say about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import soxr  # type: ignore[import-untyped]

from . import audio, pitch, speech
from .errors import Cancelled, NotAudio, RecordingError, Silent, TooLong, TooShort
from .port import CancelCheck, Note, Progress, Report, Samples

RATE: Final = 24000
LOW_RATE: Final = 16000
SHORTEST_SPEECH_S: Final = 3.0
SHORT_SPEECH_S: Final = 8.0
BEST_SPEECH_S: Final = 30.0
_SILENCE: Final = 10 ** (-60 / 20)
_QUIET: Final = 10 ** (-40 / 20)
_CLIPPED_RATIO, _NOISY_DB, _NARROW_HZ = 0.001, 15.0, 5500


@dataclass(frozen=True)
class Reference:
    """What a voice is learnt from."""

    samples: Samples
    """The best speech, without its pauses, at RATE Hz."""
    low: Samples
    """The same at LOW_RATE Hz, for the speaker encoder."""
    pitch: pitch.Pitch
    report: Report


def listen(
    recordings: Sequence[bytes], *, maximum_seconds: float, progress: Progress, cancelled: CancelCheck
) -> Reference:
    """Decodes, finds the speech, keeps the best of it.

    Errors name the recording they are about (`recording`, from 0) when there are several.
    Raises NotAudio, Truncated, Silent, TooShort, TooLong, Cancelled.
    """
    if not recordings:
        raise NotAudio("there is no recording")
    decoded: list[audio.Recording] = []
    for index, data in enumerate(recordings):
        _stop_if(cancelled)
        progress("decoding", 15 * index // len(recordings))
        left = maximum_seconds - sum(recording.seconds for recording in decoded)
        decoded.append(_decoded(data, index, len(recordings), left, maximum_seconds))
    takes: list[_Take] = []
    for index, recording in enumerate(decoded):
        _stop_if(cancelled)
        progress("finding speech", 15 + 15 * index // len(decoded))
        takes += _takes(recording, cancelled)
    spoken = sum(take.samples.size for take in takes) / RATE
    if spoken < SHORTEST_SPEECH_S:
        raise TooShort(
            f"the recordings hold {spoken:.1f} s of speech; at least {SHORTEST_SPEECH_S:g} s are needed",
            speech_seconds=f"{spoken:.2f}",
            minimum_seconds=f"{SHORTEST_SPEECH_S:g}",
        )
    _stop_if(cancelled)
    progress("measuring", 30)
    best = _best(takes)
    samples = np.concatenate([take.samples for take in best])
    low = np.asarray(soxr.resample(samples, RATE, LOW_RATE), np.float32)
    heard = pitch.measure(low)
    if heard is None:
        raise TooShort("the recordings hold hardly any voiced speech (whispering has no pitch to learn)")
    return Reference(samples, low, heard, _report(decoded, takes, samples, spoken, heard))


@dataclass(frozen=True)
class _Take:
    samples: Samples
    snr: float
    clipped: float


def _decoded(data: bytes, index: int, count: int, left: float, maximum_seconds: float) -> audio.Recording:
    try:
        recording = audio.decode(data, sample_rate=RATE, maximum_seconds=max(left, 0.0))
        if float(np.abs(recording.samples).max()) < _SILENCE:
            raise Silent("the recording is silent: was the microphone muted?")
    except TooLong as error:
        raise TooLong(
            f"the recordings are longer than {maximum_seconds:g} s together: send a part of them",
            maximum_seconds=f"{maximum_seconds:g}",
            recording=str(index),
        ) from error
    except RecordingError as error:
        if count == 1:
            raise
        told = f"recording {index + 1} of {count}: {error}"
        raise type(error)(told, **error.details, recording=str(index)) from error
    return recording


def _takes(recording: audio.Recording, cancelled: CancelCheck) -> list[_Take]:
    low = np.asarray(soxr.resample(recording.samples, RATE, LOW_RATE), np.float32)
    found = speech.segments(low, cancelled=cancelled)
    cleanness = speech.snr(low, found)
    takes = []
    for segment in found:
        samples = segment.of(recording.samples, RATE)
        takes.append(_Take(samples, cleanness, float(np.mean(np.abs(samples) >= audio.FULL_SCALE))))
    return takes


def _best(takes: list[_Take]) -> list[_Take]:
    """The cleanest BEST_SPEECH_S seconds, in the order they were spoken; all when there is less."""
    ranking = sorted(
        range(len(takes)),
        # Clipped speech is worse than noisy speech, and a long stretch better than scraps of one as clean.
        key=lambda i: (takes[i].clipped > _CLIPPED_RATIO, -round(takes[i].snr / 6), -takes[i].samples.size),
    )
    chosen: dict[int, _Take] = {}
    left = int(BEST_SPEECH_S * RATE)
    for index in ranking:
        if left < RATE // 2:
            break
        take = takes[index]
        chosen[index] = _Take(take.samples[:left], take.snr, take.clipped)
        left -= chosen[index].samples.size
    return [chosen[index] for index in sorted(chosen)]


def _report(
    decoded: list[audio.Recording], takes: list[_Take], samples: Samples, spoken: float, heard: pitch.Pitch
) -> Report:
    sizes = [take.samples.size for take in takes]
    cleanness = float(np.average([take.snr for take in takes], weights=sizes))
    clipping = float(np.average([recording.clipped for recording in decoded], weights=[r.seconds for r in decoded]))
    width = min(speech.bandwidth(samples, RATE), min(recording.sample_rate for recording in decoded) // 2)
    channels = max(recording.channels for recording in decoded)
    notes = []
    if spoken < SHORT_SPEECH_S:
        notes.append(Note("SHORT", f"only {spoken:.0f} s of speech: 10 to 30 s give a better likeness"))
    if spoken > BEST_SPEECH_S:
        notes.append(Note("LONG_TRIMMED", f"the best {BEST_SPEECH_S:g} of {spoken:.0f} s of speech were used"))
    if clipping > _CLIPPED_RATIO:
        notes.append(Note("CLIPPED", f"{100 * clipping:.1f} % of the recording is at full scale: record it softer"))
    if width < _NARROW_HZ:
        notes.append(Note("NARROWBAND", f"nothing above {width} Hz, as on a telephone: the clone is guessed there"))
    if cleanness < _NOISY_DB:
        notes.append(Note("NOISY", f"the speech is only {cleanness:.0f} dB above the noise: find a quieter room"))
    if float(np.percentile(np.abs(samples), 99.9)) < _QUIET:
        notes.append(Note("QUIET", "the recording is very quiet: speak nearer to the microphone"))
    if channels > 1:
        notes.append(Note("STEREO_MIXED_DOWN", f"{channels} channels were mixed to one"))
    return Report(
        recordings=len(decoded),
        recording_seconds=round(sum(recording.seconds for recording in decoded), 2),
        speech_seconds=round(spoken, 2),
        used_seconds=round(samples.size / RATE, 2),
        sample_rate=min(recording.sample_rate for recording in decoded),
        channels=channels,
        codecs=tuple(dict.fromkeys(recording.codec for recording in decoded)),
        snr_db=round(cleanness, 1),
        clipping_ratio=round(clipping, 5),
        bandwidth_hz=width,
        pitch_hz=round(heard.hertz, 1),
        notes=tuple(notes),
    )


def _stop_if(cancelled: CancelCheck) -> None:
    if cancelled():
        raise Cancelled()
