"""Rate limits: how often who is known may call, and what is said to a call that is one too many."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from services.mesh import errors


class Budget(Enum):
    """How a call counts (protos/voicemesh/gateway/v1/budget.proto)."""

    ORDINARY = 0
    COSTLY = 1
    SIGN_IN = 2
    FREE = 3


@dataclass(frozen=True)
class Rate:
    """So many calls in any span of so many seconds."""

    calls: int
    seconds: int


@dataclass(frozen=True)
class Policy:
    """One limit of a caller: what it is called, how large it is, and which calls count."""

    name: str
    rate: Rate
    costly: bool = False
    """Whether costly calls alone count."""
    of_key: bool = False
    """Whether it is for each API key, and not for each user."""


@dataclass(frozen=True)
class Call:
    """What of a call matters to its limits."""

    user: str
    key: str
    """Id of the API key, empty where there is none."""
    method: str
    """Full gRPC name with a leading slash."""


@dataclass(frozen=True)
class Standing:
    """Where a caller stands with one limit."""

    policy: Policy
    remaining: int
    reset_seconds: int
    """After how long there will be more, rounded up."""


@dataclass(frozen=True)
class Count:
    """What became of a call."""

    standings: Sequence[Standing]
    refusal: errors.ResourceExhausted | None = None


class Counter(Protocol):
    """Where calls are counted."""

    async def hit(self, name: str, rate: Rate, owner: str) -> bool:
        """Counts a call of an owner against a limit, unless it would be one too many; whether it was counted."""

    async def standing(self, name: str, rate: Rate, owner: str) -> tuple[int, float]:
        """How many calls are left, and at which time (seconds since 1970) there will be more."""


class Limits:
    """Counts calls against each limit that they have, the smallest first; the first that is full refuses."""

    def __init__(
        self,
        policies: Sequence[Policy],
        *,
        budgets: Mapping[str, Budget],
        counter: Counter,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # So that a call that is refused as a costly one does not count as any call besides.
        self._policies = sorted(policies, key=lambda policy: (not policy.costly, not policy.of_key))
        self._budgets = budgets
        self._counter = counter
        self._clock = clock

    async def count(self, call: Call) -> Count:
        """Counts a call, and says whether it is one too many (RATE_LIMITED)."""
        budget = self._budgets.get(call.method, Budget.ORDINARY)
        if budget is Budget.FREE:
            return Count(())
        standings = []
        for policy in self._policies:
            if (policy.costly and budget is not Budget.COSTLY) or (policy.of_key and not call.key):
                continue
            owner = call.key if policy.of_key else call.user
            counted = await self._counter.hit(policy.name, policy.rate, owner)
            remaining, reset = await self._counter.standing(policy.name, policy.rate, owner)
            wait = max(1, math.ceil(reset - self._clock()))
            standings.append(Standing(policy, remaining if counted else 0, wait))
            if not counted:
                return Count(standings, _refusal(policy, wait))
        return Count(standings)


def _refusal(policy: Policy, wait: int) -> errors.ResourceExhausted:
    return errors.ResourceExhausted(
        "RATE_LIMITED",
        f"too many requests: {policy.rate.calls} are allowed in {policy.rate.seconds} s; slow down",
        retry_after=wait,
        limit=policy.name,
        calls=str(policy.rate.calls),
        seconds=str(policy.rate.seconds),
    )
