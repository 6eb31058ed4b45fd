"""The built-in engine: a mix of stock voices, moved to the person's pitch and spectral envelope within seconds,
and, at the studio level, with the decoder's own numbers fitted to the person within minutes.

Studio voices are nearer than instant ones; accent and melody are stock in both (docs/engine-evaluation.md).
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from . import artefact as artefacts
from . import conversion, equaliser, japanese, languages, level, pieces, reference, seams, selection, speaker, timing
from . import script as scripts
from .assets import Assets
from .assets import load as load_assets
from .attunement import ATTUNED, Attunement
from .errors import ArtefactCorrupt, Cancelled, SpeedOutOfRange, TierUnsupported
from .fast import Fast
from .kokoro import RATE, STYLE_ROWS, TIMBRE, Kokoro, Pack, Score, Timbre
from .phonemes import Phonemes
from .pieces import Piece
from .pitch import Pitch
from .port import (
    DEFAULT_LANGUAGE,
    JAPANESE,
    MAXIMUM_CONVERSION_S,
    MAXIMUM_SPEED,
    MINIMUM_SPEED,
    CancelCheck,
    Chunk,
    Depth,
    Enrolment,
    Language,
    Markup,
    Progress,
    Refinement,
    Samples,
    Tier,
    Word,
    never,
    unheard,
)
from .reader import Reader
from .speaker import SpeakerEncoder
from .studio.refine import Refiner
from .timbres import Timbres
from .timing import Source

NAME: Final = "kokoro-v1"


class KokoroEngine:
    """Implements `port.Engine`. Takes about 0.8 GB of memory; models are loaded once, here."""

    name: str = NAME
    sample_rate: int = RATE
    tiers: frozenset[Tier] = frozenset(Tier)

    def __init__(self, assets: Assets, *, threads: int | None = None, maximum_seconds: float = 600.0) -> None:
        """`threads` of the models (default: every core); `maximum_seconds` of all recordings of one enrolment."""
        count = threads or os.cpu_count() or 1
        self.model_hash: str = assets.model_hash
        self._maximum_seconds = maximum_seconds
        self._model = Kokoro(assets, threads=count)
        self._encoder = SpeakerEncoder(assets.speaker, threads=count)
        self._fast = Fast(assets.fast, threads=count)
        self._listen = partial(reference.listen, encoder=self._encoder, maximum_seconds=maximum_seconds)
        self._phonemes = Phonemes(assets.vocabulary())
        self.languages: tuple[Language, ...] = (languages.DEFAULT, japanese.language())
        self._readers: Mapping[str, Reader] = {
            DEFAULT_LANGUAGE: self._phonemes,
            JAPANESE: japanese.Reader(assets.vocabulary()),
        }
        self._packs = assets.styles()
        self._timbres = Timbres(assets.decoder, self._model.affines.offset.size)
        self._attunement = Attunement(assets, self._model, threads=count)
        self._refiner = Refiner(assets, self._model, self._phonemes, self._encoder, threads=count)
        self.refines = self._refiner.able

    def enrol(
        self, recordings: Sequence[bytes], *, progress: Progress = unheard, cancelled: CancelCheck = never
    ) -> Enrolment:
        """See `port.Engine.enrol`."""
        heard = self._listen(recordings, progress=progress, cancelled=cancelled)
        progress("comparing with the stock voices", 40)
        target, width = equaliser.envelope(heard.samples), heard.report.bandwidth_hz
        embedding = self._encoder.embed(heard.low)
        choice = selection.choose(embedding, target, heard.pitch, bandwidth_hz=width, encoder=self._encoder)
        if cancelled():
            raise Cancelled()
        progress("attuning", 50)
        mixed = self._mix(choice.stock, choice.weights.tolist())
        said = [self._model.score(self._phonemes.tokens(sentence), mixed, cancelled=cancelled) for sentence in ATTUNED]
        scores = [score.at_pitch(heard.pitch) for score in said]
        style = mixed[STYLE_ROWS].mean(axis=0)
        timbre = self._attunement.timbre(style, scores, speaker.mel(heard.low), cancelled=cancelled)
        progress("calibrating", 85)
        style[:TIMBRE] += timbre
        sample = self._model.sound(scores[0], Timbre(self._model.timbre(style), {}), cancelled=cancelled)
        shape = equaliser.difference(equaliser.envelope(sample), target, bandwidth_hz=width)
        fast = self._fast.fit(
            self._phonemes.tokens(ATTUNED[0]),
            heard.pitch,
            target,
            embedding,
            bandwidth_hz=width,
            encoder=self._encoder,
            cancelled=cancelled,
        )
        voice = artefacts.Voice(
            stock=choice.stock,
            weights=choice.weights,
            pitch=heard.pitch,
            equaliser=shape,
            gain=level.gain_to_target(equaliser.apply(sample, shape)),
            baseline=choice.single,
            embedding=embedding,
            timbre=timbre,
            fast=fast,
        )
        progress("done", 100)
        return Enrolment(artefacts.dump(voice, engine=self.name, model_hash=self.model_hash), heard.report)

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
        """See `port.Engine.refine`."""
        voice = self._voice(artefact)
        heard = self._listen(recordings, progress=unheard, cancelled=cancelled)
        used = [index for index in range(len(recordings)) if index not in heard.left_out]
        made, refinement = self._refiner.refine(
            replace(voice, fitted=None),
            self._pack(voice),
            [recordings[index] for index in used],
            report=heard.report,
            transcripts=[transcripts[index] for index in used] if transcripts else (),
            depth=depth,
            maximum_seconds=self._maximum_seconds,
            progress=progress,
            cancelled=cancelled,
        )
        progress("done", 100)
        if not refinement.better:
            return replace(refinement, artefact=artefact)
        return replace(refinement, artefact=artefacts.dump(made, engine=self.name, model_hash=self.model_hash))

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
        """See `port.Engine.speak`."""
        voice = self._voice(artefact)
        asked = languages.chosen(language, self.languages)
        reader = self._readers[asked.tag]
        script = scripts.read(text, markup, asked.tag)
        found = pieces.of(script, reader)
        if not MINIMUM_SPEED <= speed <= MAXIMUM_SPEED:
            raise SpeedOutOfRange(f"the speed must lie between {MINIMUM_SPEED} and {MAXIMUM_SPEED}, not {speed}")
        if tier not in self.tiers & asked.tiers:
            raise TierUnsupported(f"{self.name} does not speak {asked.tag} at the tier {tier}", tier=str(tier))
        timbre = None if tier is Tier.FAST else self._timbre(voice, artefact)
        source = Source(script.words, spaced=reader.writing.SPACED)
        return self._spoken(voice, timbre, found, source, speed, tier, cancelled)

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
        """See `port.Engine.convert`."""
        voice = self._voice(artefact)
        timbre = self._timbre(voice, artefact)
        performance = conversion.heard(
            recording,
            transcript,
            model=self._model,
            phonemes=self._phonemes,
            pack=self._pack(voice),
            maximum_seconds=maximum_seconds,
            progress=progress,
            cancelled=cancelled,
        )
        parts = performance.parts(lambda score: self._sound(voice, timbre, score, cancelled), voice.pitch)
        return (Chunk(part) for part in parts)

    def baseline(
        self, artefact: bytes, text: str, *, most: int = selection.COMPARED, cancelled: CancelCheck = never
    ) -> tuple[Samples, ...]:
        """The text by each of the nearest stock voices, at the clone's pitch and loudness: what a clone must beat."""
        voice = self._voice(artefact)
        found = list(pieces.of(scripts.read(text), self._phonemes))
        readings = []
        for name in voice.baseline[:most]:
            parts: list[Samples] = []
            for piece in found:
                if piece.utterance is not None:
                    tokens = piece.utterance.tokens
                    said = self._say(tokens, self._packs[name], voice.pitch, speed=1.0, cancelled=cancelled)
                    parts += [seams.trimmed(said, RATE), seams.silence(piece.pause, rate=RATE, speed=1.0)]
            readings.append(level.levelled(np.concatenate(parts)))
        return tuple(readings)

    def _voice(self, artefact: bytes) -> artefacts.Voice:
        voice = artefacts.load(artefact, engine=self.name, model_hash=self.model_hash)
        unknown = {*voice.stock, *voice.baseline} - self._packs.keys()
        if unknown:
            raise ArtefactCorrupt(f"the voice artefact names unknown stock voices: {', '.join(sorted(unknown))}")
        return voice

    def _spoken(
        self,
        voice: artefacts.Voice,
        timbre: Timbre | None,
        found: Iterator[Piece],
        source: Source,
        speed: float,
        tier: Tier,
        cancelled: CancelCheck,
    ) -> Iterator[Chunk]:
        pack = self._pack(voice)
        for piece in found:
            manner = piece.manner
            pause = seams.silence(piece.pause, rate=RATE, speed=speed * manner.rate)
            if piece.utterance is None:
                yield Chunk(pause)
                continue
            pace = float(np.clip(speed * manner.rate * voice.rate, MINIMUM_SPEED, MAXIMUM_SPEED))
            pitch = replace(voice.pitch, median=voice.pitch.median + manner.semitones)
            words: tuple[Word, ...] = ()
            if tier is Tier.FAST:
                # Its model does not tell how long a phoneme takes.
                said = self._fast.say(piece.utterance.tokens, pitch, voice.fast, speed=pace, cancelled=cancelled)
            else:
                score = self._model.score(piece.utterance.tokens, pack, speed=pace, cancelled=cancelled)
                said = self._sound(voice, timbre, score.at_pitch(pitch), cancelled)
                words = timing.words(piece.utterance, score.durations, source)
            said = level.limited(level.steadied(said) * np.float32(10 ** (manner.decibels / 20)))
            start, end = seams.edges(said, RATE)
            yield Chunk(
                np.concatenate([seams.faded(said[start:end], RATE), pause]),
                timing.moved(words, -start / RATE, length=(end - start) / RATE),
            )

    def _timbre(self, voice: artefacts.Voice, artefact: bytes) -> Timbre | None:
        key = hashlib.sha256(artefact).digest()
        return None if voice.fitted is None else self._timbres.of(voice.fitted, key)

    def _sound(self, voice: artefacts.Voice, timbre: Timbre | None, score: Score, cancelled: CancelCheck) -> Samples:
        said = self._model.sound(score, timbre, cancelled=cancelled)
        shaped = said if timbre is not None else equaliser.apply(said, voice.equaliser)
        return level.quietened(np.asarray(shaped * np.float32(voice.gain), np.float32), score.energy.ravel())

    def _say(self, tokens: list[int], pack: Pack, pitch: Pitch, *, speed: float, cancelled: CancelCheck) -> Samples:
        score = self._model.score(tokens, pack, speed=speed, cancelled=cancelled)
        return self._model.sound(score.at_pitch(pitch), cancelled=cancelled)

    def _pack(self, voice: artefacts.Voice) -> Pack:
        pack = self._mix(voice.stock, voice.weights.tolist())
        pack[:, :TIMBRE] += voice.timbre
        return pack

    def _mix(self, names: Sequence[str], weights: Sequence[float]) -> Pack:
        mixed = sum((self._packs[name] * np.float32(weight) for name, weight in zip(names, weights, strict=True)))
        return np.asarray(mixed, np.float32)


def load(*, models: Path | None, threads: int) -> KokoroEngine:
    """The engine with its prepared models; see `registry.Loader`. Raises AssetMissing, AssetCorrupt."""
    return KokoroEngine(load_assets(models), threads=threads)
