"""On whose behalf a call is made, and by which process.

Who the caller is, the gateway alone decides; Envoy carries its answer in `x-voicemesh-…`
metadata. A service believes that metadata only when it comes over mTLS from Envoy or from a
sibling that the method's contract names; the process at the other end is told by the SPIFFE id
in its certificate (https://spiffe.io, X.509-SVID).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import grpc.aio

from services.mesh import errors
from services.mesh.contracts import Access, Rule

USER = "x-voicemesh-user"
SESSION = "x-voicemesh-session"
SCOPES = "x-voicemesh-scopes"
ADDRESS = "x-voicemesh-address"
REQUEST_ID = "x-request-id"

ALL_SCOPES = "*"
"""The scope of a person who signed in with a password: everything."""
EDGE = "envoy"
SPIFFE = "spiffe://voicemesh/"


@dataclass(frozen=True)
class Caller:
    """Who is calling. `user` is empty where nobody is signed in."""

    user: str = ""
    session: str = ""
    scopes: frozenset[str] = field(default_factory=frozenset)
    peer: str = ""
    """Which process is at the other end: the last segment of its SPIFFE id."""
    request_id: str = ""
    address: str = ""
    """The network address that the request came from, as the edge saw it."""
    api_key: str = ""
    """The id of the API key with which it was asked for, where that is the credential."""


_caller: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """Who the running call is made for.

    Raises:
        LookupError: nothing is being called.
    """
    return _caller.get()


@contextmanager
def acting_for(who: Caller) -> Iterator[None]:
    """Makes `who` the caller within the block: of a call being served, or of a worker's job for its owner."""
    token = _caller.set(who)
    try:
        yield
    finally:
        _caller.reset(token)


def on_behalf() -> tuple[tuple[str, str], ...]:
    """The metadata with which to call a sibling for the same user."""
    who = caller()
    return (
        (USER, who.user),
        (SESSION, who.session),
        (SCOPES, " ".join(sorted(who.scopes))),
        (REQUEST_ID, who.request_id),
        (ADDRESS, who.address),
    )


def peer(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """The process at the other end, from its certificate; empty where it showed none of this mesh.

    A certificate with several SPIFFE ids is nobody's (X.509-SVID, section 2).
    """
    names = context.auth_context().get("x509_subject_alternative_name", ())
    ids = [text for name in names if (text := name.decode("ascii", "replace")).startswith("spiffe://")]
    return ids[0].removeprefix(SPIFFE) if len(ids) == 1 and ids[0].startswith(SPIFFE) else ""


def admit(rule: Rule, peer: str, metadata: Mapping[str, str]) -> Caller:
    """Who is calling, if the contract lets them.

    Raises:
        PermissionDenied: the peer may not call this method (PEER_NOT_ALLOWED), or the credential lacks a
            scope (SCOPE_MISSING).
        Unauthenticated: nobody is signed in (CREDENTIALS_MISSING).
    """
    at_edge = peer == EDGE and rule.access in (Access.PUBLIC, Access.AUTHENTICATED)
    if not at_edge and peer not in rule.peers:
        raise errors.PermissionDenied("PEER_NOT_ALLOWED", "this process may not call this method")
    who = Caller(
        user=metadata.get(USER, ""),
        session=metadata.get(SESSION, ""),
        scopes=frozenset(metadata.get(SCOPES, "").split()),
        peer=peer,
        request_id=metadata.get(REQUEST_ID, ""),
        address=metadata.get(ADDRESS, ""),
    )
    if rule.access != Access.PUBLIC and not who.user:
        raise errors.Unauthenticated("CREDENTIALS_MISSING", "sign in first: send an access token")
    if at_edge and rule.access == Access.AUTHENTICATED and not _carries(who.scopes, rule.scopes):
        missing = " ".join(sorted(rule.scopes - who.scopes))
        raise errors.PermissionDenied("SCOPE_MISSING", f"the credential lacks the scope {missing}", scopes=missing)
    return who


def _carries(held: frozenset[str], needed: frozenset[str]) -> bool:
    return ALL_SCOPES in held or needed <= held
