"""A script as the pieces that a model says in one go, each with the silence after it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from . import seams
from .errors import TextEmpty
from .phonemes import Utterance
from .reader import Reader
from .script import Manner, Passage, Script
from .trace import Cursor


@dataclass(frozen=True)
class Piece:
    """What the model says in one go, or only a silence."""

    utterance: Utterance | None
    manner: Manner
    pause: seams.Pause | float
    """After it."""


def of(script: Script, reader: Reader) -> Iterator[Piece]:
    """The pieces of the script; checks that there is one before it returns. Raises TextEmpty, TextUnreadable."""
    found = (
        piece for index, passage in enumerate(script.passages) for piece in _read(passage, reader, opens=index == 0)
    )
    held = []
    for piece in found:
        held.append(piece)
        if piece.utterance is not None:
            return _ended(itertools.chain(held, found))
    raise TextEmpty()


def _read(passage: Passage, reader: Reader, *, opens: bool) -> Iterator[Piece]:
    """The pieces of a passage; of the passage that opens the script, the first is cut short to be heard soon."""
    cursor, held, natural = Cursor(passage.text), None, seams.Pause.NONE
    writing = reader.writing
    for index, (sentence, paragraph) in enumerate(writing.sentences(passage.text.text)):
        clauses = writing.opening(sentence) if opens and index == 0 else [sentence]
        for part in (part for clause in clauses for part in writing.pieces(clause, fits=reader.fits)):
            utterance = reader.read(cursor.take(part), passage.fixed)
            if not utterance.sounds:
                continue
            if held is not None:
                yield Piece(held, passage.manner, natural)
            held, natural = utterance, seams.Pause.CLAUSE
        natural = seams.Pause.PARAGRAPH if paragraph else seams.Pause.SENTENCE
    if not writing.ends_sentence(passage.text.text):
        natural = seams.Pause.NONE
    if held is not None or passage.pause is not None:
        yield Piece(held, passage.manner, natural if passage.pause is None else passage.pause)


def _ended(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The pieces, the last with the pause of an end where its own is a natural one."""
    held = next(pieces)
    for following in pieces:
        yield held
        held = following
    yield held if isinstance(held.pause, float) else replace(held, pause=seams.Pause.END)
