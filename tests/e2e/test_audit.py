"""The audit log of somebody who does everything, through the real Envoy, and its verification."""

from __future__ import annotations

import os
from typing import Any

from services.local import databases
from services.local.mesh import Mesh
from services.mesh.audit.verification import verify
from tests.e2e.conftest import Person


async def events(person: Person, **query: object) -> list[dict[str, Any]]:
    """All events, in pages, newest first."""
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        answer = await person.rest.get("/v1/users/me/auditEvents", params={"page_token": token, **query})
        assert answer.status_code == 200, answer.text
        found += answer.json()["audit_events"]
        token = answer.json()["next_page_token"]
        if not token:
            return found


async def test_who_did_what_is_read_by_its_user_and_verified(
    running: Mesh, robin: tuple[Person, str], eve: Person
) -> None:
    person, voice = robin
    spoken = await person.rest.post(f"/v1/{voice}:speak", json={"text": "One sentence."})
    speech = (await person.rest.post("/v1/speeches", json={"voice": voice, "text": "Another one."})).json()["name"]
    audio = (await person.watch(speech))[-1]["speech"]["audio"]
    deleted = await person.rest.delete(f"/v1/{speech}")
    assert deleted.status_code == 200

    found = await events(person, page_size=3)
    of_eve = await events(eve)
    with databases.opened(running.state, os.environ) as urls:
        verified = [await verify(url, {}) for url in urls.values()]

    by_kind = {event["kind"]: event for event in reversed(found)}
    assert [event["event_time"] for event in found] == sorted((e["event_time"] for e in found), reverse=True)
    assert [event["kind"] for event in reversed(found)][:5] == [
        "ACCOUNT_REGISTERED",
        "SIGNED_IN",
        "SIGNED_IN",
        "FILE_UPLOADED",
        "CONSENT_GIVEN",
    ]
    assert by_kind["VOICE_CREATED"]["resource"] == voice
    assert by_kind["VOICE_SPOKE"]["resource"] == voice
    assert by_kind["VOICE_SPOKE"]["request_id"] == spoken.headers["x-request-id"]
    assert by_kind["VOICE_SPOKE"]["details"] == {"characters": "13"}
    assert by_kind["SPEECH_CREATED"]["resource"] == by_kind["SPEECH_DELETED"]["resource"] == speech
    assert by_kind["SPEECH_DELETED"]["request_id"] == deleted.headers["x-request-id"]
    assert by_kind["FILE_DELETED"]["resource"] == audio
    assert {event["address"] for event in found if event["peer"] == "envoy"} == {"127.0.0.1"}
    assert {event["peer"] for event in found} == {"envoy", "voice", "worker"}
    assert {event["kind"] for event in of_eve} == {"ACCOUNT_REGISTERED", "SIGNED_IN"}
    assert all(each.faults == [] for each in verified)
