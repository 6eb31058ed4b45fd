"""Asking for the refinement of a voice, and stopping it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.mesh import errors
from services.voice import consents, jobs, voices
from services.voice.engine.port import Depth
from services.voice.jobs import State
from services.voice.voices import Recordings, Voice, VoiceStore


class RefinementStore(Protocol):
    """Where refinements are kept."""

    async def ask(self, owner: str, id: str, depth: Depth, transcripts: Sequence[str]) -> bool:
        """Has a READY voice refined that is not being refined; whether it was one. No transcripts: as they are."""

    async def stop(self, owner: str, id: str) -> None:
        """Makes the refinement of a voice CANCELLED and stops its job, if it has not ended."""


async def refine(
    owner: str,
    id: str,
    depth: Depth,
    transcripts: Sequence[str],
    *,
    store: VoiceStore,
    refinements: RefinementStore,
    recordings: Recordings,
) -> Voice:
    """Has a voice refined; it is given back with its refinement PENDING.

    Raises:
        NotFound: there is no such voice (VOICE_NOT_FOUND).
        InvalidArgument: there is not a transcript for each recording.
        FailedPrecondition: it has not been learned (VOICE_NOT_READY), is being refined (REFINEMENT_UNDER_WAY), a
            recording is gone (RECORDING_GONE), or the consent has been revoked (CONSENT_REVOKED).
    """
    voice = await voices.get(owner, id, store=store)
    _check(voice)
    if transcripts and len(transcripts) != len(voice.recordings):
        raise errors.InvalidArgument.of(
            "INVALID_FIELDS",
            "transcripts",
            f"needs a text for each of the {len(voice.recordings)} recordings, empty where it is not known",
        )
    gone = (await recordings.look(voice.recordings)).missing
    if gone is not None:
        raise errors.FailedPrecondition("RECORDING_GONE", f"the recording {gone} was deleted", name=gone)
    asked = await refinements.ask(owner, id, depth, transcripts)
    voice = await voices.get(owner, id, store=store)
    if not asked:
        # Somebody else came first.
        _check(voice)
    return voice


async def cancel(owner: str, id: str, *, store: VoiceStore, refinements: RefinementStore) -> Voice:
    """Stops a refinement; the voice stays as it is.

    Raises:
        NotFound: there is no such voice (VOICE_NOT_FOUND).
        FailedPrecondition: it has ended, or there is none (NOT_CANCELLABLE).
    """
    await refinements.stop(owner, id)
    voice = await voices.get(owner, id, store=store)
    if voice.refinement is None:
        raise errors.FailedPrecondition("NOT_CANCELLABLE", f"{voice.name} is not being refined")
    if voice.refinement.state is not State.CANCELLED:
        raise jobs.not_cancellable(voice.refinement.name, voice.refinement.state)
    return voice


def _check(voice: Voice) -> None:
    consents.refuse(voice.consent)
    if voice.state is not State.READY:
        raise errors.FailedPrecondition(
            "VOICE_NOT_READY", f"{voice.name} is {voice.state} and cannot be refined", state=voice.state
        )
    if voice.refinement is not None and not voice.refinement.state.final:
        raise errors.FailedPrecondition(
            "REFINEMENT_UNDER_WAY", f"{voice.name} is being refined", state=voice.refinement.state
        )
