"""`make eval`: learns the voices of a folder of speakers and measures how near they come.

    python -m services.voice.evaluation --speech FOLDER [--levels instant,studio,studio_high] [--seed 0]

FOLDER holds a folder of at least six recordings for each speaker. Writes build/eval.json and
docs/engine-evaluation.md; `--samples` writes what was said to build/samples instead, to be listened to.
"""

import argparse
import html
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.voice.engine import KokoroEngine, assets, audio, encode, pitch
from services.voice.engine.errors import EngineError
from services.voice.engine.port import Samples

from . import report, run
from .channels import RATE, through_channel
from .measures import Person, Vector, bootstrap, equal_error, nearest, normalised, wilson
from .sentences import SENTENCES

Heard = tuple[Vector, Vector]


def main() -> int:
    """0 when all was measured; 2 with the reason when there is nothing to measure."""
    arguments = _arguments()
    folder: Path | None = arguments.speech
    if folder is None or not folder.is_dir():
        print("no recordings: give a folder of speakers with SPEECH=folder", file=sys.stderr)
        return 2
    found = run.speakers(folder)
    if len(found) < 2:
        print(f"{folder} holds no two speakers with more than five recordings each", file=sys.stderr)
        return 2
    levels = arguments.levels.split(",")
    try:
        if arguments.samples:
            return _samples(found[:10], levels)
        return _evaluate(found, levels, arguments.seed)
    except (EngineError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="services.voice.evaluation", description="Measure the engine.")
    parser.add_argument("--speech", type=Path, default=_usual_folder(), help="a folder of recordings for each speaker")
    parser.add_argument("--levels", default="instant,studio", help="of instant, studio, studio_high")
    parser.add_argument("--seed", type=int, default=0, help="of the simulated channels")
    parser.add_argument("--samples", action="store_true", help="write audio to listen to, measure nothing")
    return parser.parse_args()


def _usual_folder() -> Path | None:
    given = os.environ.get("VOICEMESH_EVAL_SPEECH")
    if given:
        return Path(given)
    beside = Path("..") / "shared" / "speech"
    return beside if beside.is_dir() else None


def _say(line: str) -> None:
    print(line, flush=True)


def _evaluate(found: Sequence[run.Speaker], levels: Sequence[str], seed: int) -> int:
    models = assets.prepare()
    # One thread: what fitting takes is said for one core.
    engine = KokoroEngine(models, threads=1)
    ears, recogniser = run.Ears(models), run.Recogniser()
    known = run.people(found, ears, seed=seed)
    readings: dict[str, list[run.Reading]] = {}
    artefact = b""
    damaged: list[float] = []
    for index, each in enumerate(found):
        for reading, learnt in run.read(engine, each, levels, _say):
            readings.setdefault(reading.level, []).append(reading)
            if reading.level == "instant":
                artefact = learnt
                readings.setdefault("stock", []).append(run.Reading(each.name, "stock", 0.0, run.stock(engine, learnt)))
                damaged.append(_damaged(engine, each, known, ears, 10_000 * seed + 50 + index))
    result: dict[str, Any] = {
        "seed": seed,
        "engine": engine.name,
        "model_hash": engine.model_hash,
        "speakers": [each.name for each in found],
        "sentences": len(SENTENCES),
        "instant_damaged": {"normalised": float(np.mean(damaged))},
    }
    thresholds = _thresholds(known[1])
    baseline = {reading.name: reading for reading in readings["stock"]}
    base_errors = [recogniser.errors(reading.spoken) for reading in readings["stock"]]
    base_wer = sum(wrong for wrong, _ in base_errors) / sum(words for _, words in base_errors)
    for level, of in readings.items():
        result[level] = _measured(of, found, known, ears, recogniser, baseline, base_wer, thresholds, seed)
        _say(f"{level}: normalised {result[level]['normalised']:.2f}, rank 1 {result[level]['rank1']:.2f}")
    result["person"] = _person(known)
    speed = run.speeds(models, artefact, Path("build/kokoro"))
    result["speed"] = speed
    for level in readings:
        result[level] |= {
            "rtf_2_threads": speed["rtf_2_threads"],
            "first_audio_ratio": speed["first_audio_ratio_2_threads"],
        }
    result["peak_memory_mb"] = run.peak_memory()
    _write(result)
    return 0


def _write(result: Mapping[str, Any]) -> None:
    Path("build").mkdir(exist_ok=True)
    Path("build/eval.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    report.plot(result, Path("docs/engine-evaluation.svg"))
    Path("docs/engine-evaluation.md").write_text(report.page(result, "engine-evaluation.svg"), "utf-8")
    _say("build/eval.json and docs/engine-evaluation.md are written")


def _measured(
    readings: Sequence[run.Reading],
    found: Sequence[run.Speaker],
    known: Sequence[Mapping[str, Person]],
    ears: run.Ears,
    recogniser: run.Recogniser,
    baseline: Mapping[str, run.Reading],
    base_wer: float,
    threshold: float,
    seed: int,
) -> dict[str, Any]:
    whole = {each.name: ears.hear(np.concatenate(each.spoken)) for each in readings}
    single = {each.name: [ears.hear(sentence) for sentence in each.spoken] for each in readings}
    speech = {each.name: each for each in found}
    values = {name: [normalised(heard[k], name, known[k]) for k in (0, 1)] for name, heard in whole.items()}
    per_sentence = [
        [float(np.mean([normalised(heard[k], name, known[k]) for k in (0, 1)])) for heard in of]
        for name, of in single.items()
    ]
    right = sum(nearest(heard, known) == name for name, of in single.items() for heard in of)
    trials = sum(len(of) for of in single.values())
    accepted = [heard[1] @ known[1][name].held >= threshold for name, of in single.items() for heard in of]
    errors = [recogniser.errors(each.spoken) for each in readings]
    wer = sum(wrong for wrong, _ in errors) / sum(words for _, words in errors)
    per_speaker = {name: float(np.mean(pair)) for name, pair in values.items()}
    pitches = [_pitches(np.concatenate(each.spoken), speech[each.name].held) for each in readings]
    flat = {
        name: ears.hear(_flat(np.concatenate(each.spoken), speech[name].held))
        for name, each in ((each.name, each) for each in readings)
    }
    seconds = [each.seconds for each in readings]
    return {
        "normalised": float(np.mean(list(per_speaker.values()))),
        "normalised_interval": _shifted(per_sentence, per_speaker, seed),
        "normalised_min": min(per_speaker.values()),
        "normalised_ge2e": float(np.mean([pair[0] for pair in values.values()])),
        "normalised_independent": float(np.mean([pair[1] for pair in values.values()])),
        "per_speaker": per_speaker,
        "rank1": right / trials,
        "rank1_interval": wilson(right, trials),
        "accepted": float(np.mean(accepted)),
        "wer": wer,
        "wer_delta": wer - base_wer,
        "pitch_error": float(np.mean([error for error, _ in pitches])),
        "pitch_spread_ratio": float(np.mean([ratio for _, ratio in pitches])),
        "pace_ratio": float(
            np.mean([run.pace(np.concatenate(e.spoken)) / run.pace(speech[e.name].held) for e in readings])
        ),
        "pause_excess_db": float(np.mean([_pauses(each) - _pauses(baseline[each.name]) for each in readings])),
        "enrol_seconds": float(np.mean(seconds)) if any(seconds) else None,
        "enrol_seconds_most": max(seconds),
        "kept": sum(each.better for each in readings),
        **{
            f"{kind}_{encoder}": float(np.mean(cosines))
            for k, encoder in enumerate(run.Ears.NAMES)
            for kind, cosines in (
                ("same", [heard[k] @ known[k][name].held for name, heard in whole.items()]),
                ("other", [np.mean([heard[k] @ e for e in known[k][name].elsewhere]) for name, heard in whole.items()]),
                ("flat", [heard[k] @ known[k][name].held for name, heard in flat.items()]),
            )
        },
    }


def _shifted(
    per_sentence: Sequence[Sequence[float]], per_speaker: Mapping[str, float], seed: int
) -> tuple[float, float]:
    """The interval of single sentences, moved to the figure for all of a speaker's speech together, which an encoder
    hears better."""
    low, high = bootstrap(per_sentence, seed=seed)
    moved = float(np.mean(list(per_speaker.values()))) - float(np.mean([np.mean(of) for of in per_sentence]))
    return low + moved, high + moved


def _pauses(reading: run.Reading) -> float:
    return float(np.mean([run.pause_level(sentence) for sentence in reading.spoken]))


def _pitches(clone: Samples, person: Samples) -> tuple[float, float]:
    """(distance of the medians in semitones, ratio of the spreads)"""
    said, real = pitch.measure(clone), pitch.measure(person)
    if said is None or real is None:
        return float("nan"), float("nan")
    return abs(said.median - real.median), said.spread / max(real.spread, 1e-3)


def _flat(clone: Samples, person: Samples) -> Samples:
    """The clone with its long-term spectrum moved to the person's: what is left of likeness is not the channel."""
    spectra = [np.abs(np.fft.rfft(_frames(samples), axis=1)) ** 2 for samples in (clone, person)]
    gains = np.sqrt((spectra[1].mean(axis=0) + 1e-9) / (spectra[0].mean(axis=0) + 1e-9))
    smooth = np.exp(np.convolve(np.log(gains), np.ones(9) / 9, "same"))
    response = np.roll(np.fft.irfft(smooth), 256) * np.hanning(512)
    return np.asarray(np.convolve(clone, response, "same"), np.float32)


def _frames(samples: Samples) -> Samples:
    return np.asarray(np.lib.stride_tricks.sliding_window_view(samples, 512)[::256] * np.hanning(512), np.float32)


def _person(known: Sequence[Mapping[str, Person]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for k, encoder in enumerate(run.Ears.NAMES):
        same = [person.enrolled @ person.held for person in known[k].values()]
        other = [np.mean([person.enrolled @ heard for heard in person.elsewhere]) for person in known[k].values()]
        found |= {
            f"same_{encoder}": float(np.mean(same)),
            f"other_{encoder}": float(np.mean(other)),
            f"flat_{encoder}": float(np.mean(same)),
        }
    return found


def _thresholds(known: Mapping[str, Person]) -> float:
    same = [float(person.enrolled @ person.held) for person in known.values()]
    different = [float(a.enrolled @ b.held) for a in known.values() for b in known.values() if a is not b]
    return equal_error(same, different)[1]


def _damaged(
    engine: KokoroEngine, each: run.Speaker, known: Sequence[Mapping[str, Person]], ears: run.Ears, seed: int
) -> float:
    """Normalised likeness when the recordings learnt from went through another channel too."""
    joined = np.concatenate([audio.decode(data, sample_rate=RATE).samples for data in each.enrolment])
    recording = encode([through_channel(joined, seed)], "wav", source_rate=RATE)
    artefact = engine.enrol([recording]).artefact
    heard = ears.hear(np.concatenate(run.say(engine, artefact, SENTENCES[:4])))
    return float(np.mean([normalised(heard[k], each.name, known[k]) for k in (0, 1)]))


def _samples(found: Sequence[run.Speaker], levels: Sequence[str]) -> int:
    engine = KokoroEngine(assets.prepare(), threads=1)
    folder = Path("build/samples")
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for each in found:
        for reading, _ in run.read(engine, each, levels, _say):
            named = {f"{each.name}-reference.wav": [each.held], f"{each.name}-{reading.level}.wav": reading.spoken[:3]}
            for name, said in named.items():
                (folder / name).write_bytes(encode(said, "wav", source_rate=RATE))
            rows += [name for name in named if name not in rows]
    players = "".join(
        f"<p>{html.escape(name)}<br><audio controls src='{html.escape(name)}'></audio></p>" for name in rows
    )
    (folder / "index.html").write_text(
        f"<!doctype html><meta charset='utf-8'><title>Samples</title>{players}\n", "utf-8"
    )
    _say(f"{folder}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
