"""`make eval`: learns the voices of a folder of speakers and measures how near they come.

    python -m services.voice.evaluation --speech FOLDER [--levels instant,studio,studio_high] [--seeds 0,1,2]

FOLDER holds a folder of at least six recordings for each speaker. Writes build/eval.json (the figures that are
aimed at), build/eval-details.json (all) and docs/engine-evaluation.md; `--samples` writes build/samples instead, to
be listened to. What was done is kept in build/eval, so that a run that was cut off goes on where it was.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from services.voice.engine.errors import EngineError

from . import folder, plots, report, run, samples, stopwatch, variants
from .parts import RealParts
from .solo import SoloFailed
from .voices import LEVELS

BUILD: Final = Path("build")
KEPT: Final = BUILD / "eval"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all was measured; 1 with the reasons when something could not be; 2 when there is nothing to measure."""
    asked = _arguments(arguments)
    if asked.speech is None or not asked.speech.is_dir():
        print(
            "no recordings: give a folder with a folder of recordings for each speaker, SPEECH=folder", file=sys.stderr
        )
        return 2
    try:
        found = [each for each in folder.speakers(asked.speech) if not asked.speakers or each.name in asked.speakers]
        variants.chosen(asked.plan.ablation, asked.plan.levels)
    except (EngineError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if len(found) < (1 if asked.samples else 2):
        print(f"{asked.speech} holds no two speakers with more than five recordings each", file=sys.stderr)
        return 2
    try:
        if asked.samples:
            page = samples.write(found, asked.plan, RealParts(), kept=KEPT, target=BUILD / "samples", tell=_say)
            _say(f"{page}")
            return 0
        return _evaluate(found, asked.plan, timed=not asked.no_speed)
    except (EngineError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="services.voice.evaluation", description="Measure the engine.")
    add = parser.add_argument
    add("--speech", type=Path, default=folder.usual(), help="a folder with a folder of recordings for each speaker")
    add("--speakers", type=_names, default=(), help="only these of them")
    add("--levels", type=_names, default=("instant", "studio"), help=f"of {', '.join(LEVELS)}")
    add("--seed", type=int, default=None, help="of the simulated channels")
    add("--seeds", type=_numbers, default=(0,), help="the same, several, whose figures are averaged")
    add("--fit-seed", type=int, default=None, help="of fitting, where the engine takes one")
    add("--far", type=_names, default=("instant",), help="levels also learnt through another channel; none for none")
    add("--ablation", default="", help="all, levels, or names of variants")
    add("--jobs", type=int, default=1, help="speakers at a time, 2 GB of memory each")
    add("--no-speed", action="store_true", help="leave out what needs a quiet machine")
    add("--samples", action="store_true", help="write audio to listen to, measure nothing")
    asked = parser.parse_args(given)
    levels = tuple(level for level in LEVELS if level in asked.levels)
    if set(asked.levels) - set(LEVELS) or not levels:
        parser.error(f"--levels are of {', '.join(LEVELS)}")
    asked.plan = run.Plan(
        levels=levels,
        seeds=asked.seeds if asked.seed is None else (asked.seed,),
        far=tuple(level for level in levels if level in asked.far),
        ablation=asked.ablation,
        jobs=asked.jobs,
        options=() if asked.fit_seed is None else (("seed", asked.fit_seed),),
    )
    return asked


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _say(line: str) -> None:
    print(line, flush=True)


def _evaluate(found: Sequence[folder.Speaker], plan: run.Plan, *, timed: bool) -> int:
    parts = RealParts()
    result: dict[str, Any] = {
        "jobs": plan.jobs,
        **run.evaluate(found, plan, parts, folder=KEPT, tell=_say),
    }
    if not result["levels"]:
        print(f"error: no voice could be learnt: {result['failures']}", file=sys.stderr)
        return 1
    # What was heard is written before what needs a quiet machine is measured.
    _write(result)
    problem = ""
    if timed:
        speaker = next(each for each in found if each.name in result["speakers"])
        _say("measuring speed and memory, each in a process of its own")
        try:
            kept = run.artefacts(speaker, plan, parts, folder=KEPT, tell=_say)
            result["speed"] = stopwatch.measure(found, kept, folder=KEPT)
        except (SoloFailed, EngineError) as error:
            problem = f"speed was not measured: {error}"
    _write(result)
    _say(f"{BUILD}/eval.json and docs/engine-evaluation.md are written")
    for name, failure in result["failures"].items():
        problem = f"{problem}; {name}: {failure}" if problem else f"{name}: {failure}"
    if problem:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problem else 0


def _write(result: dict[str, Any]) -> None:
    BUILD.mkdir(exist_ok=True)
    for name, content in (("eval.json", report.headline(result)), ("eval-details.json", result)):
        whole = BUILD / f"{name}.{os.getpid()}"
        whole.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        whole.replace(BUILD / name)
    docs = Path("docs")
    plots.likeness(result, docs / "engine-evaluation.svg")
    (docs / "engine-evaluation.md").write_text(report.page(result, "engine-evaluation.svg"), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
