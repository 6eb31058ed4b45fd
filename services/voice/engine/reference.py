"""From recordings to the reference: the best half minute of one person's speech, and what to say about it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import soxr  # type: ignore[import-untyped]

from . import audio, company, denoising, findings, pitch
from .company import Company
from .errors import Cancelled, NotAudio, RecordingError, Silent, TooLong, TooShort
from .port import CancelCheck, Progress, Samples
from .recordings import LOW_RATE, RATE, Heard, Take, hear
from .report import Note, Part, Report
from .speaker import SpeakerEncoder

SHORTEST_SPEECH_S: Final = 3.0
BEST_SPEECH_S: Final = 30.0
_CHECKED_S: Final = 45.0
_SCRAP_S: Final = 0.5
_SILENCE: Final = 10 ** (-60 / 20)


@dataclass(frozen=True)
class Reference:
    """What a voice is learnt from."""

    samples: Samples
    """The best speech, without its pauses, at RATE Hz."""
    low: Samples
    """The same at LOW_RATE Hz, for the speaker encoder."""
    pitch: pitch.Pitch
    report: Report
    left_out: frozenset[int]
    """The recordings, from 0, that must not be learnt from: too bad, or by another person."""


def listen(
    recordings: Sequence[bytes],
    *,
    encoder: SpeakerEncoder | None = None,
    maximum_seconds: float,
    progress: Progress,
    cancelled: CancelCheck,
) -> Reference:
    """Decodes, finds the speech, keeps the best of it that one person speaks; without an encoder nobody is told apart.

    A recording that is too bad is left out where the others hold enough speech, and so is another person who speaks
    for up to a quarter of the time. Errors name the recording they are about (`recording`, from 0) when there are
    several. Raises NotAudio, Truncated, Silent, TooShort, TooLong, TooNoisy, TooReverberant, MusicBehind,
    ClippedBadly, TwoSpeakers, Cancelled.
    """
    if not recordings:
        raise NotAudio("there is no recording")
    decoded: list[audio.Recording] = []
    for index, data in enumerate(recordings):
        _stop_if(cancelled)
        progress("decoding", 15 * index // len(recordings))
        left = maximum_seconds - sum(recording.seconds for recording in decoded)
        decoded.append(_decoded(data, index, len(recordings), left, maximum_seconds))
    heard: list[Heard] = []
    for index, recording in enumerate(decoded):
        _stop_if(cancelled)
        progress("finding speech", 15 + 15 * index // len(decoded))
        heard.append(hear(recording, index, cancelled=cancelled))
    _enough(sum(each.seconds for each in heard))
    _stop_if(cancelled)
    progress("measuring", 30)
    refused = {each.index: error for each in heard if (error := findings.refusal(each)) is not None}
    usable = [each for each in heard if each.index not in refused]
    if sum(each.seconds for each in usable) < SHORTEST_SPEECH_S:
        worst = max(refused, key=lambda index: heard[index].seconds)
        raise refused[worst].about(worst, len(heard))
    takes = _best([take for each in usable for take in each.takes], heard, _CHECKED_S)
    checked = company.alone(takes, heard, encoder) if encoder else Company(takes, None, {}, frozenset())
    _enough(sum(take.seconds for take in checked.takes))
    _stop_if(cancelled)
    best = [_denoised(take, heard[take.recording]) for take in _best(checked.takes, heard, BEST_SPEECH_S)]
    samples = np.concatenate(_levelled(best, heard))
    low = np.asarray(soxr.resample(samples, RATE, LOW_RATE), np.float32)
    spoken = pitch.measure(low)
    if spoken is None:
        raise TooShort("the recordings hold hardly any voiced speech (whispering has no pitch to learn)")
    left_out = {index: Note("LEFT_OUT", f"left out: {error}") for index, error in refused.items()}
    report = _report(heard, best, checked, left_out, spoken)
    return Reference(samples, low, spoken, report, frozenset(refused) | checked.strangers)


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
        raise error.about(index, count) from error
    return recording


def _enough(seconds: float) -> None:
    if seconds < SHORTEST_SPEECH_S:
        raise TooShort(
            f"the recordings hold {seconds:.1f} s of speech; at least {SHORTEST_SPEECH_S:g} s are needed",
            speech_seconds=f"{seconds:.2f}",
            minimum_seconds=f"{SHORTEST_SPEECH_S:g}",
        )


def _best(takes: Sequence[Take], heard: Sequence[Heard], seconds: float) -> list[Take]:
    """The best `seconds` in the order they were spoken; all when there is less."""

    def badness(index: int) -> tuple[bool, bool, bool, int, int]:
        take, whole = takes[index], heard[takes[index].recording]
        # What is missing cannot be heard; clipped speech is worse than echoing, that than noisy, and a long stretch
        # better than scraps as clean.
        return (
            whole.bandwidth_hz < findings.NARROW_HZ,
            take.clipped > findings.CLIPPED_RATIO,
            findings.echoing(whole),
            -round(whole.snr_db / 6),
            -take.samples.size,
        )

    chosen: dict[int, Take] = {}
    left = int(seconds * RATE)
    for index in sorted(range(len(takes)), key=badness):
        if left < _SCRAP_S * RATE:
            break
        chosen[index] = replace(takes[index], samples=takes[index].samples[:left])
        left -= chosen[index].samples.size
    return [chosen[index] for index in sorted(chosen)]


def _denoised(take: Take, whole: Heard) -> Take:
    # In an echoing room the pauses hold the voice's own echo, and taking that for noise was measured to hurt.
    echoes = whole.decay_seconds is not None and whole.decay_seconds > findings.ECHO_S
    if whole.snr_db > findings.CLEAN_DB or echoes:
        return take
    return replace(take, samples=denoising.lowered(take.samples, whole.noise))


def _levelled(takes: Sequence[Take], heard: Sequence[Heard]) -> list[Samples]:
    """The takes of softer recordings raised to the level of the loudest; all lowered where that would clip."""
    loudest = max(heard[take.recording].level for take in takes)
    raised = [take.samples * np.float32(loudest / max(heard[take.recording].level, 1e-6)) for take in takes]
    peak = max(float(np.abs(samples).max()) for samples in raised)
    several = len({take.recording for take in takes}) > 1
    return [samples * np.float32(1 / peak) for samples in raised] if several and peak > 1 else raised


def _report(
    heard: Sequence[Heard], best: Sequence[Take], company: Company, left_out: dict[int, Note], spoken: pitch.Pitch
) -> Report:
    files = [each.file for each in heard]
    used = {each.index: sum(take.seconds for take in best if take.recording == each.index) for each in heard}
    found = sum(each.seconds for each in heard)
    of = {index: list(findings.notes(heard[index])) for index in used}
    for index, seconds in company.strayed.items():
        of[index].append(Note("OTHER_SPEAKER", f"{seconds:.0f} s of another person's speech were left out"))
    for index, note in left_out.items():
        of[index] = [note]
    whole = []
    if found < findings.SHORT_SPEECH_S:
        whole.append(Note("SHORT", f"only {found:.0f} s of speech: 10 to 30 s give a better likeness"))
    if found > BEST_SPEECH_S:
        whole.append(Note("LONG_TRIMMED", f"the best {BEST_SPEECH_S:g} of {found:.0f} s of speech were used"))
    telling = [heard[index] for index, seconds in used.items() if seconds]
    sizes = [used[each.index] for each in telling]
    expected = float(np.average([findings.expected_similarity(each, sum(sizes)) for each in telling], weights=sizes))
    decays = [each.decay_seconds for each in telling if each.decay_seconds is not None]
    return Report(
        recordings=len(heard),
        recording_seconds=round(sum(file.seconds for file in files), 2),
        speech_seconds=round(found, 2),
        used_seconds=round(sum(sizes), 2),
        sample_rate=min(file.sample_rate for file in files),
        channels=max(file.channels for file in files),
        codecs=tuple(dict.fromkeys(file.codec for file in files)),
        snr_db=round(float(np.average([each.snr_db for each in telling], weights=sizes)), 1),
        clipping_ratio=round(float(np.average([each.file.clipped for each in telling], weights=sizes)), 5),
        bandwidth_hz=min(each.bandwidth_hz for each in telling),
        pitch_hz=round(spoken.hertz, 1),
        notes=tuple(whole + findings.together([of[index] for index in of])),
        decay_seconds=round(max(decays), 3) if decays else None,
        single_speaker=company.likeness,
        expected_similarity=round(expected, 2),
        expectation=findings.expectation(expected),
        parts=tuple(
            Part(
                recording=each.index,
                speech_seconds=round(each.seconds, 2),
                used_seconds=round(used[each.index], 2),
                snr_db=round(each.snr_db, 1),
                clipping_ratio=round(each.file.clipped, 5),
                bandwidth_hz=each.bandwidth_hz,
                decay_seconds=None if each.decay_seconds is None else round(each.decay_seconds, 3),
                notes=tuple(of[each.index]),
            )
            for each in heard
        ),
    )


def _stop_if(cancelled: CancelCheck) -> None:
    if cancelled():
        raise Cancelled()
