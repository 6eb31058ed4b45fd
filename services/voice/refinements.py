"""Refinements: voices that can speak already are fitted to their persons, in the background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.voice.engine.port import Depth, Refines
from services.voice.jobs import Failure, State


class Wish(StrEnum):
    """Whether a voice is refined, and how deeply."""

    NONE = "NONE"
    STANDARD = "STANDARD"
    HIGH = "HIGH"


@dataclass(frozen=True)
class Refinement:
    """The refinement of a voice, which has the voice's id."""

    id: str
    owner: str
    depth: Depth
    state: State
    stage: str
    progress_percent: int
    failure: Failure | None
    kept: bool
    """Whether the voice speaks with what was fitted."""
    score_before: float | None
    score_after: float | None
    ready_at: datetime | None
    attempt: int
    run: int
    """Both as for a voice."""

    @property
    def name(self) -> str:
        """What it is called in messages; it is no resource of its own."""
        return f"the refinement of voices/{self.id}"


@dataclass(frozen=True)
class Material:
    """What a voice is refined from."""

    artefact: bytes
    """Of level INSTANT, the newest."""
    recordings: Sequence[str]
    """Resource names, `files/{file}`."""
    transcripts: Sequence[str]
    """One for each recording, empty where it is not known, or none at all."""


@dataclass(frozen=True)
class Refined:
    """What came of a refinement."""

    artefact: bytes
    better: bool
    score_before: float
    score_after: float
    engine: str
    model_hash: str


def chosen(wish: Wish | None, usual: Wish, refines: Refines, *, worded: bool) -> Depth | None:
    """How deep a voice is refined once it is READY; None for not at all.

    Where its creator did not say, it is what is `usual`, as far as the engine is able to: with speech recognition, or
    with all words given (`worded`).
    """
    able = refines is Refines.ALWAYS or (refines is Refines.GIVEN_WORDS and worded)
    wanted = (usual if able else Wish.NONE) if wish is None else wish
    return None if wanted is Wish.NONE else Depth(wanted)
