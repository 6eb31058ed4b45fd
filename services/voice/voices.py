"""Voices: learned from a person's recordings with that person's consent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from services.mesh import errors
from services.mesh.pages import Page
from services.voice import consent_checks, consents, jobs
from services.voice.consents import Consent, Given
from services.voice.jobs import Failure, Request, State
from services.voice.refinements import Refinement, Wish


@dataclass(frozen=True)
class NewVoice:
    """What a voice is to be learned from."""

    owner: str
    display_name: str
    description: str
    recordings: tuple[str, ...]
    """Resource names, `files/{file}`."""
    consent: Given
    request: Request
    transcripts: tuple[str, ...] = ()
    """What is said in each recording, empty where it is not known; or none at all."""
    refinement_depth: Wish | None = None
    """None: as the platform is set up."""
    digests: tuple[str, ...] = ()
    """SHA-256 of the bytes of each recording, hexadecimal; `create` finds them out."""
    check: str = consent_checks.OFF
    """The name of the check that has to hear the consent."""


@dataclass(frozen=True)
class Voice:
    """A person's voice that can speak, or will."""

    id: str
    owner: str
    display_name: str
    description: str
    recordings: list[str]
    consent: Consent
    state: State
    stage: str
    progress_percent: int
    failure: Failure | None
    level: str | None
    engine: str
    model_hash: str
    report: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
    ready_at: datetime | None
    version: int
    attempt: int
    """How often the learning was asked for."""
    run: int
    """How often a worker has begun; only the last run has a say."""
    worded: bool
    """Whether it is known of every recording what is said in it."""
    refinement_depth: Wish | None
    refinement: Refinement | None

    @property
    def name(self) -> str:
        """Resource name."""
        return f"voices/{self.id}"

    @property
    def etag(self) -> str:
        """Changes with every update (AIP-154)."""
        return f"v{self.version}"

    @property
    def settled(self) -> bool:
        """Whether nothing more happens by itself, to its refinement neither."""
        refining = self.refinement is not None and not self.refinement.state.final
        return self.state.final and not (self.state is State.READY and refining)


@dataclass(frozen=True)
class Found:
    """What was found of the recordings asked for."""

    missing: str | None
    """The first that is not there, or not the caller's."""
    size: int
    """Bytes of those that are there."""
    digests: tuple[str, ...] = ()
    """SHA-256 of the bytes of each of those, hexadecimal."""


class Recordings(Protocol):
    """Where recordings are kept."""

    async def look(self, names: Sequence[str]) -> Found:
        """What there is of them."""


class VoiceStore(Protocol):
    """Where voices are kept."""

    async def of_request(self, owner: str, request: Request) -> Voice | None:
        """The voice that this request made before.

        Raises:
            InvalidArgument: the request id was used with other content (REQUEST_ID_REUSED).
        """

    async def insert(self, new: NewVoice) -> Voice:
        """The voice of this request, added with its job if new.

        Raises:
            InvalidArgument: the request id was used with other content (REQUEST_ID_REUSED).
            FailedPrecondition: the challenge of its consent is not good (CONSENT_CHALLENGE_INVALID).
        """

    async def get(self, owner: str, id: str) -> Voice | None:
        """A voice of this owner."""

    async def list(self, owner: str, page: Page) -> Sequence[Voice]:
        """One voice more than the page holds, newest first."""

    async def update(self, owner: str, id: str, changes: Mapping[str, str], version: int | None) -> Voice | None:
        """The voice after the change; None if it is not there, or not at `version` where one is given."""

    async def delete(self, owner: str, id: str) -> bool:
        """Removes a voice, stops its job, and ends its speeches that are not finished; whether it was there."""

    async def cancel(self, owner: str, id: str) -> Voice | None:
        """The voice, CANCELLED if it was not final, its job stopped; None if it is not there."""

    async def retry(self, owner: str, id: str, states: Sequence[State]) -> Voice | None:
        """The voice, PENDING with a new job if it was in one of these states; None if it is not there."""


async def create(new: NewVoice, *, store: VoiceStore, recordings: Recordings, largest: int) -> Voice:
    """Accepts a voice for learning, or says why not; its recordings may have `largest` bytes together.

    Raises:
        NotFound: a recording is not there (RECORDING_NOT_FOUND).
        InvalidArgument: the recordings are too large (RECORDINGS_TOO_LARGE), or the request id was used with other
            content (REQUEST_ID_REUSED).
        FailedPrecondition: the consent has to be spoken, and has no challenge (CONSENT_CHALLENGE_MISSING), none that
            is good (CONSENT_CHALLENGE_INVALID), or nobody to listen (CONSENT_CHECK_UNAVAILABLE).
    """
    before = await store.of_request(new.owner, new.request)
    if before is not None:
        return before
    await consents.demand(new.consent, check=new.check)
    found = await recordings.look(new.recordings)
    if found.missing is not None:
        raise errors.NotFound("RECORDING_NOT_FOUND", f"there is no recording {found.missing}", name=found.missing)
    if found.size > largest:
        raise errors.InvalidArgument.of(
            "RECORDINGS_TOO_LARGE", "voice.recordings", f"may have {largest} bytes together, not {found.size}"
        )
    return await store.insert(replace(new, digests=found.digests))


async def get(owner: str, id: str, *, store: VoiceStore) -> Voice:
    """A voice of this owner.

    Raises:
        NotFound: there is none (VOICE_NOT_FOUND).
    """
    return _found(await store.get(owner, id), id)


async def update(owner: str, id: str, changes: Mapping[str, str], etag: str, *, store: VoiceStore) -> Voice:
    """Changes what people call a voice.

    Raises:
        InvalidArgument: the name would be empty.
        NotFound: there is no such voice (VOICE_NOT_FOUND).
        Aborted: `etag` is given and somebody else came first (ETAG_MISMATCH).
    """
    if changes.get("display_name") == "":
        raise errors.InvalidArgument.of("INVALID_FIELDS", "voice.display_name", "must not be empty")
    voice = await get(owner, id, store=store)
    if etag and etag != voice.etag:
        raise _overtaken(voice)
    if not changes:
        return voice
    changed = await store.update(owner, id, changes, voice.version if etag else None)
    if changed is None:
        raise _overtaken(await get(owner, id, store=store))
    return changed


async def delete(owner: str, id: str, *, store: VoiceStore) -> None:
    """Removes a voice and what was learned, and ends all work with it.

    Raises:
        NotFound: there is no such voice (VOICE_NOT_FOUND).
    """
    if not await store.delete(owner, id):
        _found(None, id)


async def cancel(owner: str, id: str, *, store: VoiceStore) -> Voice:
    """Stops the learning.

    Raises:
        NotFound: there is no such voice (VOICE_NOT_FOUND).
        FailedPrecondition: it has ended (NOT_CANCELLABLE).
    """
    voice = _found(await store.cancel(owner, id), id)
    if voice.state is not State.CANCELLED:
        raise jobs.not_cancellable(voice.name, voice.state)
    return voice


async def retry(owner: str, id: str, *, store: VoiceStore, recordings: Recordings, model_hash: str) -> Voice:
    """Learns a voice again: one that could not be learned, or that other models than `model_hash` have learned.

    Raises:
        NotFound: there is no such voice (VOICE_NOT_FOUND).
        FailedPrecondition: there is no reason to (NOT_RETRIABLE), a recording is gone (RECORDING_GONE), or the consent
            has been revoked (CONSENT_REVOKED).
    """
    voice = await get(owner, id, store=store)
    consents.refuse(voice.consent)
    states = [State.FAILED, State.CANCELLED]
    if voice.model_hash not in ("", model_hash):
        states.append(State.READY)
    if voice.state not in states:
        raise jobs.not_retriable(voice.name, voice.state)
    gone = (await recordings.look(voice.recordings)).missing
    if gone is not None:
        raise errors.FailedPrecondition("RECORDING_GONE", f"the recording {gone} was deleted", name=gone)
    again = _found(await store.retry(owner, id, states), id)
    if again.attempt == voice.attempt:
        raise jobs.not_retriable(again.name, again.state)
    return again


def _found(voice: Voice | None, id: str) -> Voice:
    if voice is None:
        raise errors.NotFound("VOICE_NOT_FOUND", f"there is no voices/{id}", name=f"voices/{id}")
    return voice


def _overtaken(voice: Voice) -> errors.Aborted:
    return errors.Aborted("ETAG_MISMATCH", f"{voice.name} has changed since; read it again", etag=voice.etag)
