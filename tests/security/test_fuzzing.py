"""Whatever is sent is answered by a documented refusal or by what was asked for, and nothing dies of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

import grpc.aio
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway import surface
from services.local import record
from services.local.mesh import Mesh
from tests.docs import reasons
from tests.security import asking, calls, nonsense, shots
from tests.security.asking import SHOWN
from tests.security.calls import Answer
from tests.security.people import SAMPLE, Person, registered, settled

BUDGET = 24_000 if shots.WHOLE else 400
"""How many requests are sent in all, or a few less: of some methods there are not as many different ones."""
ROUTES = [(method, verb, path) for method in SHOWN.exposed for verb, path in method.rule.routes]
EACH = -(-BUDGET // (len(ROUTES) + len(SHOWN.exposed) + 1))
INSIDES = re.compile(
    r"Traceback|File \"|site-packages|psycopg|sqlalchemy|asyncio|SELECT |INSERT |UPDATE .* SET|\.py\b"
    r"|grpc_core|0x[0-9a-f]{6,}|Exception\b|/services/|/usr/|voicemesh_(auth|user|voice|storage)\b"
)
"""What an answer must not show."""
DOWN = {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
DOCUMENTED = reasons.of_errors()
DEAD = {"ENGINE_DIED"}
"""Documented, and all the same no answer to words."""


def hypothetically(examples: int) -> Callable:
    """So many examples; the same ones in every short run."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=not shots.WHOLE,
        suppress_health_check=list(HealthCheck),
    )


def judged(answer: Answer, own: str = "") -> None:
    """Raises AssertionError unless an answer is one that may be given."""
    shots.fired += 1
    code, reason = answer.said
    assert code not in ("INTERNAL", "UNKNOWN", "DATA_LOSS"), answer
    assert reason not in ("RATE_LIMITED", "TOO_MANY_REQUESTS"), "the mesh of this test has no such limit"
    assert answer.http < 500 or answer.http in (503, 504), answer
    assert code not in DOWN or (reason in DOCUMENTED and reason not in DEAD), answer
    if answer.code:
        assert not INSIDES.search(answer.text.replace(own, "") if own else answer.text), answer


@pytest.fixture(scope="session")
def malloris() -> list[Person]:
    """All that there have been."""
    return []


@pytest.fixture
async def mallory(malloris: list[Person], rest: httpx.AsyncClient, channel: grpc.aio.Channel) -> Person:
    """Sends nonsense. Another one, if that has ended the account, the session or what was theirs."""
    if malloris:
        known = await rest.get("/v1/users/me", headers=dict(malloris[-1].bearer))
        if known.status_code == 200:
            return malloris[-1]
    malloris.append(await settled(await registered(rest, channel), SAMPLE.read_bytes()))
    return malloris[-1]


CREDENTIALS = st.sampled_from([True, True, True, True, True, True, True, False])


ENDING = ("Delete", "Log", "Revoke", "Change")


def last(cases: list) -> list:
    """What ends sessions or deletes comes after the rest."""
    return sorted(cases, key=lambda case: method_of(case).path.rpartition("/")[2].startswith(ENDING))


def method_of(case: object) -> surface.Method:
    return case if isinstance(case, surface.Method) else case[0]  # type: ignore[index, no-any-return]


@pytest.mark.parametrize("method", last(list(SHOWN.exposed)), ids=lambda method: method.path)
@hypothetically(EACH)
@given(data=st.data())
async def test_over_grpc(data: st.DataObject, method: surface.Method, ada: Person, mallory: Person) -> None:
    request = data.draw(nonsense.torn(method, [ada.names, mallory.names]))
    headers = mallory.bearer if data.draw(CREDENTIALS) else ()

    judged(await calls.by_grpc(mallory.channel, method, request, headers))


@pytest.mark.parametrize(("method", "verb", "path"), last(ROUTES), ids=lambda value: getattr(value, "path", str(value)))
@hypothetically(EACH)
@given(data=st.data())
async def test_over_rest(
    data: st.DataObject, method: surface.Method, verb: str, path: str, ada: Person, mallory: Person
) -> None:
    made = data.draw(nonsense.request(method, [ada.names, mallory.names]))
    url, query, _ = calls.rest(method, verb, path, made)
    query += data.draw(st.lists(st.tuples(nonsense.texts, nonsense.texts), max_size=2))
    text = "&".join(f"{quote(name, safe='')}={quote(said[:2000], safe='')}" for name, said in query[:50])
    content = data.draw(nonsense.body(method, asking.body(method, verb, path), made))
    headers = {**content.pop("headers", {}), **(dict(mallory.bearer) if data.draw(CREDENTIALS) else {})}

    judged(await calls.send(mallory.rest, verb, f"{url}?{text}", headers=headers, **content), own=url)


VERBS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "FOO"])
PARTS = st.sampled_from(
    ["v1", "v2", "voices", "files", "users", "me", "speeches", ":speak", ":download", "*", "{name}"]
)
PATHS = st.lists(PARTS | nonsense.texts, max_size=6).map(lambda found: "/" + "/".join(quote(each) for each in found))


@hypothetically(EACH)
@given(verb=VERBS, path=PATHS, signed_in=CREDENTIALS)
async def test_anywhere(verb: str, path: str, signed_in: bool, mallory: Person) -> None:
    """Verbs and paths that nobody has thought of."""
    headers = dict(mallory.bearer) if signed_in else {}

    judged(
        await calls.send(mallory.rest, verb, f"{mallory.rest.base_url}".rstrip("/") + path[:8000], headers=headers),
        own=path,
    )


async def test_nothing_has_died_of_it(running: Mesh, ada: Person) -> None:
    found = record.read(running.state)

    assert found is not None
    assert {name: entry.restarts for name, entry in found.children.items() if entry.restarts} == {}
