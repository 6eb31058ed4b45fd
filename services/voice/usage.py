"""What an owner has had learned and spoken, exactly: sums over a ledger written with the work itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Day:
    """A day of UTC."""

    date: date
    voices_created: int
    characters: int
    audio_seconds: float


@dataclass(frozen=True)
class Summary:
    """The sums of an owner."""

    voices_by_state: Mapping[str, int]
    characters: int
    audio_seconds: float
    days: Sequence[Day]
    """Newest first; days without any use are left out."""
