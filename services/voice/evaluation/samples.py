"""`make samples`: recordings of the people and what their voices say, next to each other, to be listened to."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.voice.engine import encode
from services.voice.engine.errors import EngineError

from . import run
from .cache import Cache
from .folder import Speaker
from .lossy import RATE
from .parts import Parts
from .sentences import SENTENCES
from .voices import STOCK, Learner, Reading

COUNT: Final = 10
_HELD_SECONDS: Final = 8
_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Samples</title>
<style>body{{font-family:sans-serif;max-width:70em;margin:2em auto}}td,th{{padding:.4em;text-align:left}}</style>
<h1>Samples</h1>
<p>Each row: a recording of the person that nothing was learnt from, and one sentence by the uncloned stock voice that
is nearest, and by the voice learnt of them at each level.</p>
<table><tr><th>person and sentence</th>{heads}</tr>
{rows}</table></html>
"""


def write(found: Sequence[Speaker], plan: run.Plan, parts: Parts, *, kept: Path, target: Path, tell: run.Tell) -> Path:
    """COUNT samples, each of another person as far as there are people, then of other sentences; gives the page.

    Raises EngineError where no voice of anybody can be learnt.
    """
    target.mkdir(parents=True, exist_ok=True)
    learner = Learner(Cache(kept), parts.engine, models=parts.models, tell=tell, options=dict(plan.options))
    columns = ("reference", STOCK, *plan.levels)
    rows: list[str] = []
    failed: EngineError | None = None
    people = list(found[:COUNT])
    for number in range(COUNT):
        if not people:
            break
        each = people[number % len(people)]
        sentence = (number // len(people)) % len(SENTENCES)
        try:
            readings = {level: learner.read(each, level) for level in columns[1:]}
        except EngineError as error:
            tell(f"{each.name}: {error.reason}: {error}")
            failed = error
            people.remove(each)
            continue
        stem = f"{number + 1:02d}-{each.name}"
        (target / f"{stem}-reference.wav").write_bytes(_person(each))
        for level, reading in readings.items():
            (target / f"{stem}-{level}.wav").write_bytes(_said(reading, sentence))
        rows.append(_row(each.name, SENTENCES[sentence], [f"{stem}-{column}.wav" for column in columns]))
        page = _PAGE.format(heads="".join(f"<th>{column}</th>" for column in columns), rows="\n".join(rows))
        (target / "index.html").write_text(page, "utf-8")
    if not rows and failed is not None:
        raise failed
    return target / "index.html"


def _person(each: Speaker) -> bytes:
    return encode([each.held[: _HELD_SECONDS * RATE]], "wav", source_rate=RATE)


def _said(reading: Reading, sentence: int) -> bytes:
    return encode([reading.sentences[sentence]], "wav", source_rate=reading.rate)


def _row(name: str, said: str, files: Sequence[str]) -> str:
    players = "".join(f'<td><audio controls preload="none" src="{html.escape(file)}"></audio></td>' for file in files)
    return f"<tr><td><b>{html.escape(name)}</b><br>{html.escape(said)}</td>{players}</tr>"
