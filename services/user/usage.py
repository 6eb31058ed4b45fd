"""Usage: what a user has used, added up from those who did the work."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

DEFAULT_DAYS = 30


@dataclass(frozen=True)
class Day:
    """What was used in a day of UTC."""

    date: date
    voices_created: int = 0
    characters: int = 0
    audio_seconds: float = 0.0
    uploaded_bytes: int = 0


@dataclass(frozen=True)
class Spoken:
    """What voice has done."""

    voices_by_state: Mapping[str, int]
    characters: int
    audio_seconds: float
    days: Sequence[Day]


@dataclass(frozen=True)
class Stored:
    """What storage keeps."""

    stored_bytes: int
    stored_files: int
    days: Sequence[Day]


@dataclass(frozen=True)
class Usage:
    """All of it."""

    spoken: Spoken
    stored: Stored
    days: Sequence[Day]
    """Newest first; days without any use are left out."""


class Ledgers(Protocol):
    """Those who did the work, asked on behalf of the caller."""

    async def spoken(self, days: int) -> Spoken:
        """What voice has done, with the last so many days one by one."""

    async def stored(self, days: int) -> Stored:
        """What storage keeps, with the last so many days one by one."""


async def add_up(days: int, *, ledgers: Ledgers) -> Usage:
    """The caller's usage, with the last so many days one by one (DEFAULT_DAYS if 0)."""
    days = days or DEFAULT_DAYS
    spoken, stored = await asyncio.gather(ledgers.spoken(days), ledgers.stored(days))
    return Usage(spoken, stored, merge(spoken.days, stored.days))


def merge(*ledgers: Sequence[Day]) -> list[Day]:
    """The days of several ledgers, each date once, newest first, without those on which nothing was used."""
    of: defaultdict[date, list[Day]] = defaultdict(list)
    for ledger in ledgers:
        for day in ledger:
            of[day.date].append(day)
    merged = (
        Day(
            when,
            voices_created=sum(day.voices_created for day in same),
            characters=sum(day.characters for day in same),
            audio_seconds=sum(day.audio_seconds for day in same),
            uploaded_bytes=sum(day.uploaded_bytes for day in same),
        )
        for when, same in sorted(of.items(), reverse=True)
    )
    return [day for day in merged if day != Day(day.date)]
