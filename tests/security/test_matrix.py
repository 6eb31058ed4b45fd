"""Every method, over REST and over gRPC, with every credential that is not good for it, and with Ada's names.

The rows are the methods of the descriptor set: a new one is here without anybody adding it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from services.gateway import surface
from services.mesh.contracts import Access
from tests.issuer import Issuer
from tests.security import asking, calls, credentials, shots, tokens
from tests.security.asking import SHOWN
from tests.security.calls import Answer, Headers
from tests.security.people import Person, registered

pytestmark = pytest.mark.matrix


@pytest.fixture(autouse=True)
async def first(before: dict[str, object]) -> None:
    """Ada's things are looked at before anything else."""


Names = dict[str, str]
Call = Callable[[Person, Names, Headers], Awaitable[Answer]]

KEPT_AS_WORDS = {"preferences.default_voice"}
"""A name that is only written down: nothing is read by it but by its owner, who has to own it then."""


def entries(method: surface.Method) -> list[tuple[str, Call]]:
    """Every way to a method from outside."""

    async def native(who: Person, names: Names, headers: Headers) -> Answer:
        return await calls.by_grpc(who.channel, method, asking.request(method, names), headers)

    def over(verb: str, path: str) -> Call:
        async def rest(who: Person, names: Names, headers: Headers) -> Answer:
            return await calls.by_rest(who.rest, method, verb, path, asking.request(method, names), headers)

        return rest

    async def json_to_grpc(who: Person, names: Names, headers: Headers) -> Answer:
        """JSON to the method's own path, which is no route of REST."""
        return await calls.send(who.rest, "POST", method.path, json={}, headers=list(headers))

    routes = [(f"{verb} {path}", over(verb, path)) for verb, path in method.rule.routes]
    return [("grpc", native), *routes, ("POST to the method", json_to_grpc)]


ENTRIES = [
    pytest.param(method, call, id=f"{method.path.rpartition('.')[2]}-{way}")
    for method in SHOWN.methods
    for way, call in entries(method)
]
REACHING = [each for each in ENTRIES if "POST to the method" not in str(each.id)]
CLOSED = [each for each in REACHING if each.values[0].rule.access == Access.AUTHENTICATED]
OPEN = [each for each in REACHING if each.values[0].rule.access == Access.PUBLIC]
HIDDEN = [each for each in ENTRIES if not each.values[0].exposed]


WRONG = list(tokens.BAD)
BAD = [
    pytest.param(*each.values, wrong, id=f"{each.id}-{wrong}")
    for row, each in enumerate(ENTRIES)
    # In a short run each row has two of the columns, and each column some rows.
    for wrong in (WRONG if shots.WHOLE else (WRONG[row % len(WRONG)], WRONG[(row * 7 + 1) % len(WRONG)]))
]


@pytest.mark.parametrize(("method", "call", "wrong"), BAD)
async def test_a_credential_that_is_not_good(
    method: surface.Method, call: Call, wrong: str, issuer: Issuer, ada: Person
) -> None:
    token = tokens.BAD[wrong](issuer, ada)

    answer = await call(ada, ada.names, (("authorization", f"Bearer {token}"),))

    assert answer.said == ("UNAUTHENTICATED", "TOKEN_EXPIRED" if wrong == "expired" else "TOKEN_INVALID")
    assert not shown(answer, ada)


@pytest.mark.parametrize(("method", "call"), ENTRIES)
async def test_no_credential(method: surface.Method, call: Call, ada: Person) -> None:
    answer = await call(ada, ada.names, ())

    if method.rule.access == Access.PUBLIC:
        assert answer.reason != "CREDENTIALS_MISSING"
        assert answer.said[0] not in ("INTERNAL", "PERMISSION_DENIED")
    else:
        assert answer.said == ("UNAUTHENTICATED", "CREDENTIALS_MISSING")
    assert not shown(answer, ada)


@pytest.mark.parametrize(("method", "call"), CLOSED)
async def test_a_credential_without_the_scope(method: surface.Method, call: Call, issuer: Issuer, ada: Person) -> None:
    for lacks in method.rule.scopes:
        token = tokens.lacking(issuer, ada, method.rule.scopes, lacks)
        answer = await call(ada, ada.names, (("authorization", f"Bearer {token}"),))

        assert answer.said == ("PERMISSION_DENIED", "SCOPE_MISSING")
        assert not shown(answer, ada)


SOME = ENTRIES if shots.WHOLE else ENTRIES[::5]


@pytest.mark.parametrize("how", credentials.ENDINGS)
@pytest.mark.parametrize(("method", "call"), SOME if credentials.SESSIONS_END else [])
async def test_a_credential_of_a_session_that_was_ended(
    method: surface.Method, call: Call, how: str, ended: dict[str, Person], ada: Person
) -> None:
    answer = await call(ada, ada.names, ended[how].bearer)

    assert answer.said == ("UNAUTHENTICATED", "SESSION_ENDED")
    assert not shown(answer, ada)


@pytest.mark.parametrize("header", ["authorization", "xi-api-key"])
@pytest.mark.parametrize(("method", "call"), CLOSED if credentials.KEYS else [])
async def test_an_api_key_without_the_scope(
    method: surface.Method, call: Call, header: str, keys: credentials.Keys, ada: Person
) -> None:
    """Ada's own, and good for everything but this."""
    for lacks in method.rule.scopes or {""}:
        key = await keys.lacking(lacks)
        answer = await call(ada, ada.names, ((header, key if header == "xi-api-key" else f"Bearer {key}"),))

        assert answer.said[0] == "PERMISSION_DENIED"
        assert answer.reason in ("SCOPE_MISSING", "SIGN_IN_NEEDED")
        assert not shown(answer, ada)


@pytest.mark.parametrize("wrong", ["revoked", "wrong secret", "no secret", "unknown id", "doubled"])
@pytest.mark.parametrize(("method", "call"), SOME if credentials.KEYS else [])
async def test_an_api_key_that_is_not_good(
    method: surface.Method, call: Call, wrong: str, keys: credentials.Keys, ada: Person
) -> None:
    answer = await call(ada, ada.names, (("authorization", f"Bearer {await keys.bad(wrong)}"),))

    assert answer.said[0] == "UNAUTHENTICATED"
    assert answer.reason != "CREDENTIALS_MISSING"
    assert not shown(answer, ada)


@pytest.mark.parametrize(("method", "call"), HIDDEN)
async def test_what_is_internal_is_not_there(method: surface.Method, call: Call, eve: Person) -> None:
    answer = await call(eve, eve.names, eve.bearer)

    assert answer.said in (("UNIMPLEMENTED", ""), ("UNIMPLEMENTED", "NO_SUCH_METHOD"), ("NOT_FOUND", "NO_SUCH_METHOD"))


OTHERS = [
    pytest.param(*each.values, field, id=f"{each.id}-{field or 'nothing named'}")
    for each in [*CLOSED, *OPEN]
    for field in (asking.targets(each.values[0]) or [""])
]


@pytest.mark.parametrize(("method", "call", "field"), OTHERS)
async def test_what_belongs_to_somebody_else(
    method: surface.Method, call: Call, field: str, ada: Person, eve: Person
) -> None:
    """Eve names Ada's resource in one field, and her own in the others. Where nothing is named, it is somebody new:
    it may be the end of their session."""
    named = asking.targets(method)
    names = eve.names | ({named[field]: ada.names[named[field]]} if field else {})
    who = eve if field else await registered(eve.rest, eve.channel)

    answer = await call(who, names, who.bearer if method.rule.access == Access.AUTHENTICATED else ())

    if field and field not in KEPT_AS_WORDS:
        assert answer.said[0] == "NOT_FOUND"
        assert answer.said == await nobodys(method, call, field, eve)
    assert not shown(answer, ada, named=names.values())


async def nobodys(method: surface.Method, call: Call, field: str, who: Person) -> tuple[str, str]:
    """The answer where the field names something that nobody has: it must not differ."""
    template = asking.targets(method)[field]
    name = template.replace("*", "0197f0f0-0000-7000-8000-000000000000")
    return (await call(who, who.names | {template: name}, who.bearer)).said


def ending(method: surface.Method) -> int:
    """0, 1 for what deletes or revokes something, 2 for what ends the session."""
    name = method.path.rpartition("/")[2]
    return 2 * (name in ("Logout", "RevokeSessions", "DeleteUser")) or name.startswith(("Delete", "Revoke"))


OWN = sorted((each for each in CLOSED if str(each.id).endswith("grpc")), key=lambda each: ending(each.values[0]))
REFUSALS = {"CREDENTIALS_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "SESSION_ENDED", "SCOPE_MISSING", "SIGN_IN_NEEDED"}
"""Why somebody is refused for who they are, and not for what they ask."""


@pytest.mark.parametrize(("method", "call"), OWN)
async def test_ones_own_is_not_refused(method: surface.Method, call: Call, otto: Person) -> None:
    """Or nothing would be shown by refusing Eve."""
    answer = await call(otto, otto.names, otto.bearer)

    assert answer.said[0] not in ("NOT_FOUND", "UNIMPLEMENTED", "INTERNAL", "UNKNOWN")
    assert answer.reason not in REFUSALS


async def test_what_she_has_is_as_it_was(ada: Person, before: dict[str, object]) -> None:
    assert {template: await ada.get(template) for template in before} == before


def shown(answer: Answer, owner: Person, named: object = ()) -> set[str]:
    """What an answer tells of the owner that the caller did not say themselves."""
    said = " ".join(named) if named else " ".join(owner.names.values())  # type: ignore[call-overload]
    return {secret for secret in owner.secrets if secret in answer.text and secret not in said}
