"""From what was gathered of every speaker to the figures of each level."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .gathering import Gathered
from .hearing import CONDITIONS, ENCODERS, HEADLINE, People, Voice
from .measures import bootstrap, likeness, nearest, normalised, threshold, wilson
from .voices import FAR, STOCK

Crowds = Mapping[int, Mapping[str, People]]
"""Seed of the channels -> condition -> people."""


def both(voice: Voice, name: str, people: People, condition: str) -> tuple[float, float]:
    """Normalised likeness by each encoder."""
    heard = voice.under(condition)
    return normalised(heard[0], name, people[0]), normalised(heard[1], name, people[1])


def of_level(level: str, gathered: Sequence[Gathered], crowds: Crowds) -> dict[str, Any]:
    """Every figure of one level, over the speakers that have it and all seeds."""
    have = [each for each in gathered if level in each.readings]
    voices = {each.name: each.voices[level] for each in have}
    pairs = {
        name: _mean([both(voice, name, crowd[HEADLINE], HEADLINE) for crowd in crowds.values()])
        for name, voice in voices.items()
    }
    per_speaker = {name: float(np.mean(pair)) for name, pair in pairs.items()}
    singles = [
        [
            float(np.mean([normalised(said[k], name, crowd[HEADLINE][k]) for crowd in crowds.values() for k in (0, 1)]))
            for said in voice.sentences
        ]
        for name, voice in voices.items()
    ]
    trials = sum(len(voice.sentences) for voice in voices.values())
    right = float(np.mean([_right(voices, crowd[HEADLINE]) for crowd in crowds.values()]))
    verified = _mean([_verified(voices, crowd[HEADLINE]) for crowd in crowds.values()])
    first = min(crowds)
    return {
        "normalised": float(np.mean(list(per_speaker.values()))),
        "normalised_interval": _shifted(singles, list(per_speaker.values()), first),
        "normalised_min": min(per_speaker.values()),
        "normalised_by_encoder": {
            name: float(np.mean([pair[k] for pair in pairs.values()])) for k, name in enumerate(ENCODERS)
        },
        "per_speaker": per_speaker,
        "by_seed": {str(seed): _of_seed(voices, crowd[HEADLINE]) for seed, crowd in crowds.items()},
        "conditions": _conditions(level, gathered, voices, crowds),
        "rank1": right / trials,
        "rank1_interval": wilson(right, trials),
        "accepted": dict(zip(ENCODERS, verified[:2].tolist(), strict=True)),
        **_manner(level, have, first),
        **_learning(level, have),
    }


def person(gathered: Sequence[Gathered], crowds: Crowds) -> dict[str, Any]:
    """The same of real speech, where it makes sense."""
    conditions = {}
    for condition in CONDITIONS:
        cosines = _mean(
            [
                [
                    float(np.mean([likeness(each.enrolled, each) for each in people.values()]))
                    for people in crowd[condition]
                ]
                for crowd in crowds.values()
            ]
        )
        conditions[condition] = {"cosine": cosines.tolist(), "normalised": [1.0, 1.0]}
    errors = _mean([[threshold(people)[0] for people in crowd[HEADLINE]] for crowd in crowds.values()])
    opinions = [each.manners["person"]["naturalness"] for each in gathered]
    return {
        "conditions": conditions,
        "equal_error": dict(zip(ENCODERS, errors.tolist(), strict=True)),
        "naturalness": _means(opinions),
        "pause_db": float(np.mean([each.manners["person"]["pause_db"] for each in gathered])),
    }


def _mean(over: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    return np.asarray(np.mean(over, axis=0))


def _right(voices: Mapping[str, Voice], people: People) -> int:
    return sum(nearest(list(said), people) == name for name, voice in voices.items() for said in voice.sentences)


def _of_seed(voices: Mapping[str, Voice], people: People) -> dict[str, float]:
    each = [float(np.mean(both(voice, name, people, HEADLINE))) for name, voice in voices.items()]
    trials = sum(len(voice.sentences) for voice in voices.values())
    return {"normalised": float(np.mean(each)), "normalised_min": min(each), "rank1": _right(voices, people) / trials}


def _verified(voices: Mapping[str, Voice], people: People) -> list[float]:
    """Share of sentences accepted as the person by each encoder."""
    shares = []
    for k, known in enumerate(people):
        least = threshold(known)[1]
        accepted = [
            likeness(said[k], known[name]) >= least for name, voice in voices.items() for said in voice.sentences
        ]
        shares.append(float(np.mean(accepted)))
    return shares


def _conditions(
    level: str, gathered: Sequence[Gathered], voices: Mapping[str, Voice], crowds: Crowds
) -> dict[str, dict[str, list[float]]]:
    found = {}
    far = {each.name: each.voices[level + FAR] for each in gathered if level + FAR in each.voices}
    for condition in CONDITIONS:
        of = far if condition == "both" else voices
        if not of:
            continue
        # The channel that voices were learnt through is that of the first seed alone.
        among = [next(iter(crowds.values()))] if condition == "both" else list(crowds.values())
        cosines = [
            _mean([[likeness(voice.under(condition)[k], crowd[condition][k][name]) for k in (0, 1)] for crowd in among])
            for name, voice in of.items()
        ]
        values = [
            _mean([both(voice, name, crowd[condition], condition) for crowd in among]) for name, voice in of.items()
        ]
        found[condition] = {
            "cosine": np.mean(cosines, axis=0).tolist(),
            "normalised": np.mean(values, axis=0).tolist(),
        }
    return found


def _shifted(singles: Sequence[Sequence[float]], whole: Sequence[float], seed: int) -> tuple[float, float]:
    """The interval of single sentences, moved to the figure for all of a speaker's speech together, which an encoder
    hears better."""
    low, high = bootstrap(singles, seed=seed)
    moved = float(np.mean(whole)) - float(np.mean([np.mean(of) for of in singles]))
    return low + moved, high + moved


def _manner(level: str, have: Sequence[Gathered], seed: int) -> dict[str, Any]:
    manners = [(each.manners[level], each.manners[STOCK], each.manners["person"]) for each in have]
    pitched = [(m["pitch"], p["pitch"]) for m, _, p in manners if m["pitch"] and p["pitch"]]
    words = sum(m["words"] for m, _, _ in manners)
    worse = [[(m["wrong"] - base["wrong"]) / m["words"]] for m, base, _ in manners]
    excess = [m["pause_db"] - base["pause_db"] for m, base, _ in manners]
    return {
        "wer": sum(m["wrong"] for m, _, _ in manners) / words,
        "wer_delta": float(np.mean(worse)),
        "wer_delta_interval": bootstrap(worse, seed=seed),
        "pitch_error": _average([abs(m[0] - p[0]) for m, p in pitched]),
        "pitch_spread_ratio": _average([m[1] / max(p[1], 1e-3) for m, p in pitched]),
        "pace_ratio": _average([m["pace"] / p["pace"] for m, _, p in manners]),
        "pace_error": _average([abs(m["pace"] / p["pace"] - 1) for m, _, p in manners]),
        "pause_db": _average([m["pause_db"] for m, _, _ in manners]),
        "pause_excess_db": _average(excess),
        "pause_excess_db_most": max(excess),
        "naturalness": _means([m["naturalness"] for m, _, _ in manners]),
    }


def _learning(level: str, have: Sequence[Gathered]) -> dict[str, Any]:
    readings = [each.readings[level] for each in have]
    return {
        "seconds": _average([reading.seconds for reading in readings]),
        "seconds_most": max(reading.seconds for reading in readings),
        "cpu_seconds": _average([reading.cpu_seconds for reading in readings]),
        "artefact_bytes": max(len(reading.artefact) for reading in readings),
        "steps": _average([reading.steps for reading in readings]),
        "kept": sum(reading.better and not reading.failure for reading in readings),
        "failures": {reading.speaker: reading.failure for reading in readings if reading.failure},
    }


def _average(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in values])) for name in values[0]}
