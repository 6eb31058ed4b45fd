"""Refining a voice that was learnt in an instant: prepare, fit, and keep the fit only if it is better."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from .. import artefact as artefacts
from .. import audio, equaliser, level, sessions, speaker, timbres
from ..assets import Assets
from ..errors import Cancelled, TooShort, TranscriptUnclear
from ..gradient import GradientDecoder
from ..kokoro import RATE, STYLE_ROWS, Kokoro, Pack, Timbre
from ..phonemes import Phonemes
from ..port import CancelCheck, Depth, Progress, Refinement, Refines, Samples
from ..report import Report
from ..speaker import SpeakerEncoder
from .fitting import CROP, Fit, Fitting, Utterance
from .listener import Listener, windows
from .preparation import prepare
from .transcription import recognises, transcribe

Floats = npt.NDArray[np.float32]

SENTENCES: Final = (
    "The ferry left the harbour early, and nobody on the pier had noticed that the captain was missing.",
    "Would you mind asking your neighbour whether the parcel from Thursday has been delivered?",
)
"""What is spoken to compare a fit with the voice before it; never said in fitting."""
MOST_SPEECH_S: Final = 60.0
LEAST_SPEECH_S: Final = 10.0
LEAST_PACE, MOST_PACE = 0.85, 1.18
_HELD_OUT: Final = 0.15
_LEAST_HELD_S: Final = 3.0
_CHECKS: Final = 5
_PATIENCE: Final = 2
_TOLERANCE: Final = 0.015
"""Of likeness between checks: what two sentences vary by."""
_LEAST_GAIN: Final = 0.015
"""Of likeness: a fit that gains no more is not kept."""


@dataclass(frozen=True)
class Setting:
    """What a depth means."""

    steps: int
    rank: int


SETTINGS: Final = {Depth.STANDARD: Setting(steps=200, rank=0), Depth.HIGH: Setting(steps=300, rank=16)}


class Refiner:
    """Fits voices for one engine, one at a time."""

    def __init__(
        self, assets: Assets, model: Kokoro, phonemes: Phonemes, encoder: SpeakerEncoder, *, threads: int
    ) -> None:
        self._assets, self._model, self._phonemes, self._encoder = assets, model, phonemes, encoder
        self._threads = threads
        self.able = Refines.ALWAYS if recognises() else Refines.GIVEN_WORDS

    def refine(
        self,
        voice: artefacts.Voice,
        pack: Pack,
        recordings: Sequence[bytes],
        *,
        report: Report,
        transcripts: Sequence[str],
        depth: Depth,
        maximum_seconds: float,
        progress: Progress,
        cancelled: CancelCheck,
    ) -> tuple[artefacts.Voice, Refinement]:
        """The voice to keep, and what came of it (its artefact still to be written).

        Raises as `port.Engine.refine`.
        """
        progress("listening", 0)
        decoded = _decoded(recordings, maximum_seconds)
        spoken = transcribe(
            decoded,
            transcripts,
            cancelled=cancelled,
            progress=lambda share: progress("listening", int(10 * share)),
        )
        total = sum(each.samples.size for each in spoken) / RATE
        if total < LEAST_SPEECH_S:
            raise TranscriptUnclear(
                f"only {total:.0f} s of the speech could be written down with certainty, and {LEAST_SPEECH_S:g} s are "
                "needed: speak more clearly, or send what is said",
                seconds=f"{total:.1f}",
            )
        progress("aligning", 10)
        source = sessions.open_session(self._assets.source, threads=1)
        utterances, pace = prepare(
            spoken,
            model=self._model,
            source=source,
            phonemes=self._phonemes,
            pack=pack,
            cancelled=cancelled,
            progress=lambda share: progress("aligning", 10 + int(10 * share)),
        )
        usable = sum(each.frames for each in utterances) / 40
        if usable < LEAST_SPEECH_S:
            raise TranscriptUnclear(
                f"only {usable:.0f} s of the speech could be laid along its words, and {LEAST_SPEECH_S:g} s are needed",
                seconds=f"{usable:.1f}",
            )
        train, held = _apart(utterances)
        target = self._embedding(np.concatenate([each.recorded for each in held]))
        paced = replace(voice, rate=float(np.clip(pace, LEAST_PACE, MOST_PACE)))
        style = np.asarray(pack[STYLE_ROWS].mean(axis=0)[: self._model.affines.matrix.shape[0]], np.float32)
        before = self._likeness(voice, pack, None, target)
        progress("fitting", 20)
        setting = SETTINGS[depth]
        weights = timbres.stored_weights(self._assets.decoder)
        fitting = Fitting(
            train,
            style=style,
            layers=self._model.affines,
            decoder=GradientDecoder(weights, self._model.affines.norms, threads=self._threads, rank=setting.rank),
            listener=Listener(self._assets.speaker),
            likeness=self._windows(train),
            bandwidth_hz=report.bandwidth_hz,
        )
        best: tuple[float, Fit] | None = None
        peak, worse = -1.0, 0

        def check(fit: Fit) -> bool:
            # The encoder is soon content, and further steps still make the sound more like: only a clear loss counts.
            nonlocal best, peak, worse
            likeness = self._likeness(paced, pack, self._timbre(fit, weights), target)
            peak = max(peak, likeness)
            if likeness > peak - _TOLERANCE:
                best, worse = (likeness, fit), 0
            else:
                worse += 1
            return worse < _PATIENCE

        # The encoder's steps are too small to be shared between threads, which would only wait for each other.
        with threadpool_limits(limits=1, user_api="blas"):
            fitting.run(
                setting.steps,
                check=check,
                every=-(-setting.steps // _CHECKS),
                progress=lambda share: progress("fitting", 20 + int(75 * share)),
                cancelled=cancelled,
            )
        if best is None:
            raise Cancelled()
        after, fit = best
        progress("comparing", 97)
        refinement = Refinement(b"", after > before + _LEAST_GAIN, before, after, fit.steps)
        if not refinement.better:
            return voice, refinement
        kept = artefacts.Fitted(fit.affines, fit.differences, fit.steps)
        loud = self._say(paced, pack, self._timbre(fit, weights), SENTENCES[0])
        flat = np.zeros_like(voice.equaliser)
        return replace(paced, fitted=kept, equaliser=flat, gain=level.gain_to_target(loud)), refinement

    @staticmethod
    def _timbre(fit: Fit, weights: dict[str, Floats]) -> Timbre:
        kept = artefacts.Fitted(fit.affines, fit.differences, fit.steps)
        return Timbre(fit.affines, timbres.merged(weights, kept) if fit.differences else {})

    def _say(self, voice: artefacts.Voice, pack: Pack, timbre: Timbre | None, text: str) -> Samples:
        score = self._model.score(self._phonemes.tokens(text), pack, speed=voice.rate)
        return self._model.sound(score.at_pitch(voice.pitch), timbre)

    def _likeness(self, voice: artefacts.Voice, pack: Pack, timbre: Timbre | None, target: Floats) -> float:
        said = [self._say(voice, pack, timbre, sentence) for sentence in SENTENCES]
        if timbre is None:
            said = [equaliser.apply(each, voice.equaliser) for each in said]
        return float(self._embedding(level.levelled(np.concatenate(said))) @ target)

    def _embedding(self, samples: Samples) -> Floats:
        return self._encoder.embed(np.asarray(soxr.resample(samples, RATE, speaker.RATE), np.float32))

    def _windows(self, utterances: Sequence[Utterance]) -> list[Floats]:
        joined = np.concatenate([each.recorded for each in utterances])
        return windows(speaker.mel(np.asarray(soxr.resample(joined, RATE, speaker.RATE), np.float32)))


def _decoded(recordings: Sequence[bytes], maximum_seconds: float) -> list[Samples]:
    """At RATE Hz, MOST_SPEECH_S seconds of all together."""
    found: list[Samples] = []
    left = int(MOST_SPEECH_S * RATE)
    for data in recordings:
        if left <= 0:
            break
        samples = audio.decode(data, sample_rate=RATE, maximum_seconds=maximum_seconds).samples
        found.append(samples[:left])
        left -= found[-1].size
    if not found:
        raise TooShort("there is no recording")
    return found


def _apart(utterances: Sequence[Utterance]) -> tuple[list[Utterance], list[Utterance]]:
    """(to fit with, to judge by): the shortest utterances that come to 15 % of all and 3 s are kept out."""
    order = sorted(range(len(utterances)), key=lambda index: utterances[index].frames)
    total = sum(each.frames for each in utterances)
    held: list[int] = []
    seconds: Any = 0.0
    for index in order[:-1]:
        if seconds >= max(_LEAST_HELD_S, _HELD_OUT * total / 40):
            break
        held.append(index)
        seconds += utterances[index].frames / 40
    if seconds < _LEAST_HELD_S:
        # One long utterance: its end is kept out.
        whole = utterances[order[-1]]
        cut = max(CROP, int(whole.frames * (1 - max(_HELD_OUT, _LEAST_HELD_S * 40 / whole.frames))))
        return [_part(whole, 0, cut)], [_part(whole, cut, whole.frames)]
    return [utterances[index] for index in range(len(utterances)) if index not in held], [utterances[i] for i in held]


def _part(utterance: Utterance, start: int, end: int) -> Utterance:
    return Utterance(
        utterance.features[:, start:end],
        utterance.pitch[2 * start : 2 * end],
        utterance.energy[2 * start : 2 * end],
        utterance.source[:, 120 * start : 120 * end + 1],
        utterance.recorded[600 * start : 600 * end],
        utterance.spoken[600 * start : 600 * end],
    )
