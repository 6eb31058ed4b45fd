"""Usage: what somebody has stored and uploaded, from a ledger that no deletion changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol


@dataclass(frozen=True)
class Day:
    """What was uploaded in a day of UTC."""

    date: date
    uploaded_bytes: int


@dataclass(frozen=True)
class Usage:
    """What somebody has stored now, and uploaded day by day."""

    stored_bytes: int
    stored_files: int
    days: Sequence[Day]
    """Newest first; days without uploads are left out."""


class Ledger(Protocol):
    """Where uploads are written down."""

    async def usage(self, owner: str, days: int) -> Usage:
        """What `owner` stores now, and uploaded today (UTC) and in the `days - 1` days before."""
