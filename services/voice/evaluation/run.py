"""The evaluation from beginning to end: gather every speaker, in one process or several, then work out the figures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from . import figures, flattening, hearing
from .cache import Cache
from .folder import Speaker
from .gathering import Gathered, Request, gather, levels_of, listening_code
from .parts import Parts, RealParts
from .sentences import SENTENCES
from .variants import chosen
from .voices import FAR, STOCK, Learner

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    levels: tuple[str, ...]
    """Of `voices.LEVELS`."""
    seeds: tuple[int, ...]
    """Of the simulated channels."""
    far: tuple[str, ...] = ()
    """The levels that are also learnt through another channel."""
    ablation: str = ""
    """See `variants.chosen`."""
    jobs: int = 1
    options: tuple[tuple[str, Any], ...] = ()
    """Of `Engine.refine`."""


def evaluate(found: Sequence[Speaker], plan: Plan, parts: Parts, *, folder: Path, tell: Tell) -> dict[str, Any]:
    """Every figure that needs no stop-watch. What is made on the way is kept in `folder`.

    Speakers of whom no voice could be learnt are left out of the figures and named in `failures`.
    """
    cache, code = Cache(folder), listening_code()
    crowds: dict[int, Mapping[str, hearing.People]] = {}
    for seed in plan.seeds:
        tell(f"listening to {len(found)} speakers through the channels of seed {seed}")
        crowds[seed] = hearing.crowd(found, parts.ears, seed=seed, far=plan.seeds[0], cache=cache, code=code)
    request = Request(
        levels=plan.levels,
        far=plan.far,
        ablation=plan.ablation,
        spectrum=flattening.spectrum([each.enrolled() for each in found]),
        seed=plan.seeds[0],
    )
    gathered: dict[str, Gathered] = {}
    for each in _gathered(found, request, plan, parts, folder, tell):
        gathered[each.name] = each
        tell(f"{each.name}: {_summary(each, crowds)} ({len(gathered)} of {len(found)} speakers)")
    ordered = [gathered[each.name] for each in found]
    heard = [each for each in ordered if not each.failure]
    result: dict[str, Any] = {
        "seeds": list(plan.seeds),
        "model_hash": parts.models,
        "speakers": [each.name for each in heard],
        "sentences": len(SENTENCES),
        "failures": {each.name: each.failure for each in ordered if each.failure},
        "levels": {},
        "ablation": {},
    }
    if not heard:
        return result
    for level in levels_of(heard):
        if level.endswith(FAR):
            continue
        into = "levels" if level in (STOCK, *plan.levels) else "ablation"
        result[into][level] = figures.of_level(level, heard, crowds)
    result["person"] = figures.person(heard, crowds)
    titles = {variant.name: (variant.of, variant.title) for variant in chosen(plan.ablation, plan.levels)}
    result["variants"] = {name: titles[name] for name in result["ablation"]}
    return result


def artefacts(each: Speaker, plan: Plan, parts: Parts, *, folder: Path, tell: Tell) -> dict[str, bytes]:
    """The artefacts of one speaker by level, from what is kept."""
    learner = _learner(Cache(folder), plan, parts, tell)
    return {level: learner.read(each, level).artefact for level in plan.levels}


def _learner(cache: Cache, plan: Plan, parts: Parts, tell: Tell) -> Learner:
    return Learner(cache, parts.engine, models=parts.models, tell=tell, options=dict(plan.options))


def _summary(each: Gathered, crowds: Mapping[int, Mapping[str, hearing.People]]) -> str:
    if each.failure:
        return each.failure
    crowd = next(iter(crowds.values()))[hearing.HEADLINE]
    return ", ".join(
        f"{level} {np.mean(figures.both(voice, each.name, crowd, hearing.HEADLINE)):.2f}"
        for level, voice in each.voices.items()
        if not level.endswith(FAR)
    )


def _gathered(
    found: Sequence[Speaker], request: Request, plan: Plan, parts: Parts, folder: Path, tell: Tell
) -> Iterator[Gathered]:
    left = dict(enumerate(found))
    if plan.jobs > 1:
        # Started anew, since the model runtime's threads do not survive a fork.
        with ProcessPoolExecutor(plan.jobs, mp_context=get_context("spawn")) as pool:
            work = {pool.submit(_work, folder, plan, request, each, index): index for index, each in left.items()}
            try:
                for done in as_completed(work):
                    made = done.result()
                    del left[work[done]]
                    yield made
            except BrokenProcessPool:
                tell("a process died, of too little memory perhaps: going on with one")
    cache = Cache(folder)
    learner = _learner(cache, plan, parts, tell)
    for index, each in left.items():
        yield gather(each, index, request, learner=learner, ears=parts.ears, transcriber=parts.transcriber, cache=cache)


def _work(folder: Path, plan: Plan, request: Request, each: Speaker, index: int) -> Gathered:
    cache, learner, parts = _own(folder, plan)
    return gather(each, index, request, learner=learner, ears=parts.ears, transcriber=parts.transcriber, cache=cache)


@lru_cache(maxsize=1)
def _own(folder: Path, plan: Plan) -> tuple[Cache, Learner, Parts]:
    """Of this process, for all of its speakers."""
    parts, cache = RealParts(), Cache(folder)
    return cache, _learner(cache, plan, parts, lambda line: print(line, flush=True)), parts
