"""Two people on a real mesh: one who owns things, and one who is after them."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import httpx

from services.gateway import surface
from tests.security import asking, calls
from tests.security.asking import SHOWN

SAMPLE = Path(__file__).parents[2] / "examples" / "sample" / "robin.flac"
FINAL_SECONDS = 120


@dataclass
class Person:
    """Somebody with an account, a session, and one of everything that a request can name."""

    rest: httpx.AsyncClient
    """Without a credential: each call says which."""
    channel: grpc.aio.Channel
    email: str
    password: str
    session: dict[str, Any]
    names: dict[str, str] = field(default_factory=dict)
    """By template, the resources that are theirs: `{"voices/*": "voices/0197…"}`."""

    @property
    def bearer(self) -> calls.Headers:
        """The credential."""
        return (("authorization", f"Bearer {self.session['access_token']}"),)

    @property
    def secrets(self) -> set[str]:
        """What nobody else may get to see: ids of what is theirs, and their address."""
        return {self.email, *(name.split("/")[1] for name in self.names.values())}

    async def get(self, template: str) -> dict[str, Any]:
        """What a resource of theirs looks like to them."""
        response = await self.rest.get(f"/v1/{self.names[template]}", headers=dict(self.bearer))
        assert response.status_code == 200, f"{template}: {response.text}"
        found: dict[str, Any] = response.json()
        return found


async def registered(rest: httpx.AsyncClient, channel: grpc.aio.Channel) -> Person:
    """Somebody new, without anything yet."""
    account = {"email": f"{secrets.token_hex(8)}@example.org", "password": secrets.token_urlsafe(12)}
    answer = await rest.post("/v1/auth:register", json=account)
    assert answer.status_code == 200, answer.text
    return Person(rest, channel, account["email"], account["password"], answer.json())


async def settled(person: Person, recording: bytes) -> Person:
    """The same, with one of everything that a request can name, made through the API by the contracts alone."""
    upload = await person.rest.post("/v1/files", content=recording, headers=dict(person.bearer))
    assert upload.status_code == 200, upload.text
    person.names |= {"files/*": upload.json()["name"], "users/*": person.session["user"]}
    waiting = set(asking.templates()) - person.names.keys()
    while waiting:
        made = {template for template in sorted(waiting) if await _made(person, template)}
        assert made, f"nothing makes {waiting}: teach tests/security/people.py"
        waiting -= made
    return person


async def _made(person: Person, template: str) -> bool:
    """Makes a resource, if what it needs is there already."""
    parent, _, last = template.rpartition("/")
    if last != "*":  # The only one of its kind below its parent.
        if parent not in person.names:
            return False
        person.names[template] = f"{person.names[parent]}/{last}"
        return True
    for method, path in _creators(template):
        if not set(asking.targets(method).values()) <= person.names.keys():
            return False
        request = asking.request(method, person.names)
        answer = await calls.by_rest(person.rest, method, "POST", path, request, person.bearer)
        assert answer.code == 0, f"{method.path}: {answer.text}"
        found = re.search('"(' + template.replace("*", '[^/"]+') + ')"', answer.text)
        assert found, f"{method.path} names no {template}: {answer.text}"
        person.names[template] = found[1]
        await _final(person, template)
        return True
    return await _left_behind(person, template)


async def _left_behind(person: Person, template: str) -> bool:
    """Finds a resource that nothing creates by itself: speaking leaves it, and names it in a header."""
    if "voices/*" not in person.names:
        return False
    body = {"text": "Good morning."}
    spoken = await person.rest.post(f"/v1/{person.names['voices/*']}:speak", json=body, headers=dict(person.bearer))
    pattern = template.replace("*", "[^/]+")
    found = next((value for value in spoken.headers.values() if re.fullmatch(pattern, value)), "")
    if found:
        person.names[template] = found
        await person.get(template)
    return bool(found)


def _creators(template: str) -> Iterator[tuple[surface.Method, str]]:
    """The methods that create such a resource: POST on its collection (AIP-133)."""
    for method in SHOWN.exposed:
        for verb, path in method.rule.routes:
            collection = re.sub(r"\{[\w.]+=([^}]*)\}", r"\1", path).removeprefix("/v1/")
            if verb == "POST" and f"{collection}/*" == template:
                yield method, path


async def _final(person: Person, template: str) -> None:
    """Waits until the work on a resource, if there is any, is done."""
    async with asyncio.timeout(FINAL_SECONDS):
        while (await person.get(template)).get("state") in ("PENDING", "PROCESSING"):
            await asyncio.sleep(0.2)
