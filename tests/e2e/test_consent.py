"""A consent that is taken back silences its voice everywhere: with the real engine, through the real Envoy."""

from __future__ import annotations

import asyncio
import time

import httpx

from tests.e2e.conftest import SAMPLE, Person

LONG = "This is one sentence of very many, and nobody wants to hear all of them. "
BOUND_SECONDS = 5.0


async def test_what_is_being_spoken_ends_within_seconds(ada: Person) -> None:
    voice = (await ada.create(SAMPLE.read_bytes()))["name"]
    learned = (await ada.watch(voice))[-1]["voice"]
    speech = (await ada.rest.post("/v1/speeches", json={"voice": voice, "text": LONG * 200})).json()["name"]
    watching = asyncio.create_task(ada.watch(speech))
    while (await ada.rest.get(f"/v1/{speech}")).json()["progress_percent"] == 0:
        await asyncio.sleep(0.2)
    body = {"text": LONG * 60, "audio_config": {"format": "PCM"}}
    async with ada.rest.stream("POST", f"/v1/{voice}:speak", json=body) as spoken:
        pieces = spoken.aiter_raw()
        heard = len(await anext(pieces))
        began = time.monotonic()
        revoked = await ada.rest.post(f"/v1/{voice}/consent:revoke", json={})
        try:
            async for piece in pieces:
                heard += len(piece)
        except httpx.RemoteProtocolError:
            pass  # The stream just ends early, since its status has been sent.
        silent = time.monotonic() - began
    last = (await watching)[-1]["speech"]
    ended = time.monotonic() - began
    again = await ada.rest.post(f"/v1/{voice}:speak", json={"text": "No."})
    consent = (await ada.rest.get(f"/v1/{voice}/consent")).json()
    events = (await ada.rest.get("/v1/users/me/auditEvents?page_size=1")).json()["audit_events"]

    assert learned["state"] == "READY", learned
    assert max(silent, ended) < BOUND_SECONDS
    assert 0 < heard < 24000 * 2 * 60 * 3, "the whole text takes longer than three minutes"
    assert (last["state"], last["failure"]["reason"]) == ("FAILED", "CONSENT_REVOKED")
    assert again.status_code == 400
    assert again.json()["details"][0]["reason"] == "CONSENT_REVOKED"
    assert revoked.json() == consent
    assert consent["address"] == "127.0.0.1"
    assert consent["revoke_time"]
    assert (events[0]["kind"], events[0]["resource"]) == ("CONSENT_REVOKED", f"{voice}/consent")
