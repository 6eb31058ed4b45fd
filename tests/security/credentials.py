"""Credentials that were good once: of sessions that were ended in each way there is, and API keys."""

from __future__ import annotations

import asyncio
import re

from tests.security import asking, calls
from tests.security.asking import SHOWN
from tests.security.people import Person, registered

METHODS = {method.path.rpartition("/")[2]: method for method in SHOWN.methods}
SESSIONS_END = "ListEndedSessions" in METHODS
"""Whether the contracts have a way to tell the edge that a session has ended."""
KEYS = "CreateApiKey" in METHODS
ENDINGS = [how for how in ("Logout", "RevokeSessions", "reuse of a refresh token") if how in METHODS or " " in how]
WITHIN_SECONDS = 5
"""How soon a session that was ended is ended everywhere."""


async def ended(how: str, somebody: Person) -> Person:
    """Somebody new whose session has ended in this way, as long ago as it may take to be known everywhere."""
    person = await registered(somebody.rest, somebody.channel)
    if how in METHODS:
        method = METHODS[how]
        answer = await calls.by_grpc(person.channel, method, asking.request(method, {}), person.bearer)
    else:
        for _ in range(2):
            body = {"refresh_token": person.session["refresh_token"]}
            answer = await calls.send(person.rest, "POST", "/v1/auth:refresh", json=body)
        assert answer.reason == "REFRESH_TOKEN_REUSED", answer
        answer = calls.Answer(0, "", "")
    assert answer.code == 0, answer
    return person


async def all_ended(somebody: Person) -> dict[str, Person]:
    """Of each way somebody."""
    found = {how: await ended(how, somebody) for how in ENDINGS}
    await asyncio.sleep(WITHIN_SECONDS)
    return found


class Keys:
    """API keys of one person, made as they are asked for."""

    def __init__(self, owner: Person) -> None:
        self._owner = owner
        self._made: dict[str, str] = {}

    async def lacking(self, scope: str) -> str:
        """A key that may do everything but what this scope is for."""
        if scope not in self._made:
            everything = {each for method in SHOWN.exposed for each in method.rule.scopes}
            self._made[scope] = (await self._create(sorted(everything - {scope})))[0]
        return self._made[scope]

    async def bad(self, wrong: str) -> str:
        """A key that is good for nothing."""
        if wrong not in self._made:
            key, name = await self._create(["user:read"])
            if wrong == "revoked":
                await self._revoke(name)
            self._made[wrong] = {
                "revoked": key,
                "wrong secret": key[:-4] + ("aaaa" if key[-4:] != "aaaa" else "bbbb"),
                "no secret": key[: len(key) // 2],
                "unknown id": "vm_" + "0" * (len(key) - 3),
                "doubled": key + key,
            }[wrong]
        return self._made[wrong]

    async def _create(self, scopes: list[str]) -> tuple[str, str]:
        method = METHODS["CreateApiKey"]
        request = asking.request(method, self._owner.names)
        holder = next(
            getattr(request, field.name)
            for field in request.DESCRIPTOR.fields
            if field.message_type and "scopes" in field.message_type.fields_by_name
        )
        holder.ClearField("scopes")
        holder.scopes.extend(scopes)
        _, path = next(route for route in method.rule.routes if route[0] == "POST")
        answer = await calls.by_rest(self._owner.rest, method, "POST", path, request, self._owner.bearer)
        assert answer.code == 0, answer
        key, name = re.search(r"vm_[\w.-]+", answer.text), re.search(r'"((?:[\w-]+/)*apiKeys/[^/"]+)"', answer.text)
        assert key, answer
        assert name, answer
        return key[0], name[1]

    async def _revoke(self, name: str) -> None:
        method = METHODS.get("RevokeApiKey") or METHODS["DeleteApiKey"]
        template = next(iter(asking.targets(method).values()))
        request = asking.request(method, {template: name})
        answer = await calls.by_grpc(self._owner.channel, method, request, self._owner.bearer)
        assert answer.code == 0, answer
        await asyncio.sleep(WITHIN_SECONDS)
