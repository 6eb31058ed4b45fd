"""Verifying the audit log: all hashes are computed again, and the first event of a chain that is wrong is named.

A chain shows by itself that an event was changed, taken out of the middle, or put in. That its end was cut off
together with its own note of where it ends, that a whole chain was taken away, or that all of it was made
anew, only a checkpoint shows: the ends of all chains, kept where whoever can change the database cannot change them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field

import psycopg
from pydantic import BaseModel, ConfigDict, Field

from services.mesh.audit import store
from services.mesh.audit.events import Chain, Entry


class End(BaseModel):
    """Where a chain ended at a time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    length: int = Field(ge=1)
    hash: str = Field(pattern="^[0-9a-f]{64}$")
    erased: int = Field(default=0, ge=0)
    """How many of its events had been erased with the account."""


Ends = Mapping[str, End]
"""The ends of the chains of one service, by user."""


class Checkpoint(BaseModel):
    """The ends of all chains at a time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    services: Mapping[str, Ends] = Field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """The first thing that is wrong with a chain."""

    owner: str
    number: int
    """Of the event."""
    id: str
    """Of the event; empty where it is missing."""
    what: str


@dataclass
class Findings:
    """What was found in the database of one service."""

    events: int = 0
    ends: dict[str, End] = field(default_factory=dict)
    """Of chains that have no fault."""
    faults: list[Fault] = field(default_factory=list)
    """At most one for each chain."""
    erased: list[str] = field(default_factory=list)
    """Users whose events have been erased since the earlier time, as the deletion of an account does."""


async def verify(url: str, before: Ends) -> Findings:
    """Computes all chains of the database at `url` again; `before` are their ends at an earlier time.

    Raises:
        psycopg.Error: the database does not answer, or has no audit log.
    """
    async with await psycopg.AsyncConnection.connect(url, connect_timeout=5) as connection:
        await store.frozen(connection)
        chains = await store.chains(connection)
        found = Findings()
        seen = set()
        async for owner, entries in _by_owner(store.entries(connection)):
            seen.add(owner)
            _check(owner, chains.get(owner), entries, before.get(owner), found)
    for owner in sorted((chains.keys() | before.keys()) - seen):
        _check(owner, chains.get(owner), [], before.get(owner), found)
    return found


def _check(owner: str, chain: Chain | None, entries: list[Entry], before: End | None, found: Findings) -> None:
    found.events += len(entries)
    fault = next(_faults(owner, chain, entries, before), None)
    if fault is not None:
        found.faults.append(fault)
    elif chain is not None:
        found.ends[owner] = End(length=chain.length, hash=chain.head.hex(), erased=chain.erased_length)
        if chain.erased_length > (before.erased if before is not None else 0):
            found.erased.append(owner)


def _faults(owner: str, chain: Chain | None, entries: list[Entry], before: End | None) -> Iterator[Fault]:
    number, head = (chain.erased_length, chain.erased_head) if chain is not None else (0, b"")
    if chain is None and before is not None and not entries:
        yield Fault(owner, 1, "", f"the whole chain is gone; at the checkpoint it had {before.length} events")
    if chain is None and entries:
        yield Fault(owner, entries[0].event.number, entries[0].event.id, "there is no note of this chain")
    hashes = {number: head}
    for entry in entries:
        event = entry.event
        if event.number != number + 1:
            yield Fault(owner, number + 1, "", f"it is missing; the next that is there has the number {event.number}")
        if event.previous != head:
            yield Fault(owner, event.number, event.id, "it does not follow from the one before")
        if event.digest() != entry.hash:
            yield Fault(owner, event.number, event.id, "it was changed: its hash is another")
        number, head = event.number, entry.hash
        hashes[number] = head
    if chain is not None and (number, head) != (chain.length, chain.head):
        which = f"the chain ends with {number}, and should with {chain.length}"
        yield Fault(owner, min(number, chain.length) + 1, "", which if number != chain.length else "its end is another")
    if chain is not None and before is not None and before.length >= chain.erased_length:
        if before.length not in hashes:
            yield Fault(owner, number + 1, "", f"it is missing; at the checkpoint the chain had {before.length} events")
        elif hashes[before.length].hex() != before.hash:
            yield Fault(owner, before.length, "", "the chain was made anew: at the checkpoint it had another hash here")


async def _by_owner(entries: AsyncIterator[Entry]) -> AsyncIterator[tuple[str, list[Entry]]]:
    owner, of_owner = "", list[Entry]()
    async for entry in entries:
        if entry.event.owner != owner and of_owner:
            yield owner, of_owner
            of_owner = []
        owner = entry.event.owner
        of_owner.append(entry)
    if of_owner:
        yield owner, of_owner
