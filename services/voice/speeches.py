"""Speeches: texts spoken in a voice by durable jobs, and texts spoken at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.mesh import errors
from services.mesh.pages import Page
from services.voice import consents, jobs, texts
from services.voice.engine.port import Language, Level, Markup, Tier, Word
from services.voice.forms import AudioForm, check_tier
from services.voice.jobs import Failure, Request, State
from services.voice.receipts import Receipt
from services.voice.voices import Voice

GONE = Failure("VOICE_GONE", "the voice was deleted")
"""What becomes of the speeches of a voice that is deleted before they are finished."""


@dataclass(frozen=True)
class NewSpeech:
    """What is to be said."""

    owner: str
    voice: str
    """Id of the voice."""
    text: str
    markup: Markup
    language: Language
    form: AudioForm
    request: Request


@dataclass(frozen=True)
class Speech:
    """A text spoken in a voice, or about to be."""

    id: str
    owner: str
    voice: str
    text: str
    markup: Markup
    language: str
    """The tag of one of the engine's."""
    format: str
    sample_rate: int
    speed: float
    tier: Tier
    state: State
    stage: str
    progress_percent: int
    failure: Failure | None
    audio: str | None
    """Resource name, `files/{file}`."""
    audio_seconds: float | None
    characters: int
    engine: str
    model_hash: str
    level: str
    """How deep the learning of the voice went that spoke it; empty until then."""
    receipt: str
    """The signed receipt of its audio; empty until there is one."""
    created_at: datetime
    updated_at: datetime
    ready_at: datetime | None
    attempt: int
    run: int
    """Both as for a voice."""

    @property
    def name(self) -> str:
        """Resource name."""
        return f"speeches/{self.id}"


@dataclass(frozen=True)
class Artefact:
    """What was learned of a voice, as its engine wants it back."""

    voice: str
    content: bytes
    engine: str
    model_hash: str
    level: str = str(Level.INSTANT)


@dataclass(frozen=True)
class Spoken:
    """What came of a speech."""

    audio: str
    """Resource name of the stored file."""
    audio_seconds: float
    characters: int
    engine: str
    model_hash: str
    level: str
    words: tuple[Word, ...]
    """In seconds from the start of the audio."""
    receipt: Receipt
    token: str
    """The receipt, signed."""


class LearnedVoices(Protocol):
    """Where the voices are that speak."""

    async def get(self, owner: str, id: str) -> Voice | None:
        """A voice of this owner."""

    async def artefact(self, owner: str, id: str) -> Artefact | None:
        """The newest artefact of a voice of this owner that is READY."""


class SpeechStore(Protocol):
    """Where speeches are kept."""

    async def of_request(self, owner: str, request: Request) -> Speech | None:
        """The speech that this request made before.

        Raises:
            InvalidArgument: the request id was used with other content (REQUEST_ID_REUSED).
        """

    async def insert(self, new: NewSpeech) -> Speech:
        """The speech of this request, added with its job if new.

        Raises:
            InvalidArgument: the request id was used with other content (REQUEST_ID_REUSED).
        """

    async def get(self, owner: str, id: str) -> Speech | None:
        """A speech of this owner."""

    async def words(self, owner: str, id: str) -> Sequence[Word] | None:
        """The words of a speech of this owner, in seconds from the start of its audio; None if they were not kept."""

    async def list(self, owner: str, page: Page) -> Sequence[Speech]:
        """One speech more than the page holds, newest first."""

    async def delete(self, owner: str, id: str) -> bool:
        """Removes a speech, stops its job, and sees to it that its audio is removed; whether it was there."""

    async def cancel(self, owner: str, id: str) -> Speech | None:
        """The speech, CANCELLED if it was not final, its job stopped; None if it is not there."""

    async def retry(self, owner: str, id: str, states: Sequence[State]) -> Speech | None:
        """The speech, PENDING with a new job if it was in one of these states; None if it is not there."""


class FinishedAudio(Protocol):
    """Where finished speech is kept."""

    async def remove(self, name: str) -> None:
        """Removes a file; one that is not there is fine."""


async def artefact(owner: str, voice: str, *, voices: LearnedVoices) -> Artefact:
    """What a voice speaks with.

    Raises:
        NotFound: there is no such voice (VOICE_NOT_FOUND).
        FailedPrecondition: it has not been learned (VOICE_NOT_READY), or its person has revoked their consent
            (CONSENT_REVOKED).
    """
    learned = await voices.artefact(owner, voice)
    if learned is not None:
        return learned
    found = await allowed(owner, voice, voices=voices)
    raise errors.FailedPrecondition(
        "VOICE_NOT_READY", f"{found.name} is {found.state} and cannot speak", state=found.state
    )


async def allowed(owner: str, voice: str, *, voices: LearnedVoices) -> Voice:
    """A voice that may speak, whether it is able to or not.

    Raises:
        NotFound: there is no such voice (VOICE_NOT_FOUND).
        FailedPrecondition: its person has revoked their consent (CONSENT_REVOKED).
    """
    found = await voices.get(owner, voice)
    if found is None:
        raise errors.NotFound("VOICE_NOT_FOUND", f"there is no voices/{voice}", name=f"voices/{voice}")
    consents.refuse(found.consent)
    return found


async def create(
    new: NewSpeech, *, store: SpeechStore, voices: LearnedVoices, tiers: Callable[[], frozenset[Tier]]
) -> Speech:
    """Accepts a text for speaking, or says why not. `tiers` are those of the engine.

    Raises:
        InvalidArgument: the text cannot be spoken (TEXT_EMPTY, TEXT_UNSUPPORTED_SCRIPT), or the request id was
            used with other content (REQUEST_ID_REUSED).
        NotFound: there is no such voice (VOICE_NOT_FOUND).
        FailedPrecondition: it has not been learned (VOICE_NOT_READY), its person has revoked their consent
            (CONSENT_REVOKED), or the engine does not speak at this tier (TIER_UNSUPPORTED).
        Unavailable: a tier that not every engine has is asked of one that is starting (ENGINE_NOT_READY).
    """
    field = "speech.ssml" if new.markup is Markup.SSML else "speech.text"
    await texts.check(new.text, field=field, markup=new.markup, language=new.language.tag)
    before = await store.of_request(new.owner, new.request)
    if before is not None:
        return before
    await artefact(new.owner, new.voice, voices=voices)
    check_tier(new.form.tier, new.language, tiers)
    return await store.insert(new)


async def get(owner: str, id: str, *, store: SpeechStore) -> Speech:
    """A speech of this owner.

    Raises:
        NotFound: there is none (SPEECH_NOT_FOUND).
    """
    return _found(await store.get(owner, id), id)


async def words(owner: str, id: str, *, store: SpeechStore) -> tuple[Speech, Sequence[Word]]:
    """A speech of this owner and when its words are heard.

    Raises:
        NotFound: there is no such speech (SPEECH_NOT_FOUND), or it was spoken before this was kept
            (TIMESTAMPS_NOT_FOUND).
        FailedPrecondition: it has not been spoken (SPEECH_NOT_READY).
    """
    speech = await get(owner, id, store=store)
    if speech.state is not State.READY:
        raise errors.FailedPrecondition(
            "SPEECH_NOT_READY", f"{speech.name} is {speech.state} and has no timestamps", state=speech.state
        )
    found = await store.words(owner, id)
    if found is None:
        raise errors.NotFound("TIMESTAMPS_NOT_FOUND", f"{speech.name} was spoken before timestamps were kept")
    return speech, found


async def delete(owner: str, id: str, *, store: SpeechStore, audio: FinishedAudio) -> None:
    """Removes a speech and its audio: the audio at once if storage answers, else as soon as it does.

    Raises:
        NotFound: there is no such speech (SPEECH_NOT_FOUND).
    """
    speech = await get(owner, id, store=store)
    if not await store.delete(owner, id):
        _found(None, id)
    if speech.audio:
        with suppress(errors.Unavailable):
            await audio.remove(speech.audio)


async def cancel(owner: str, id: str, *, store: SpeechStore) -> Speech:
    """Stops the work.

    Raises:
        NotFound: there is no such speech (SPEECH_NOT_FOUND).
        FailedPrecondition: it has ended (NOT_CANCELLABLE).
    """
    speech = _found(await store.cancel(owner, id), id)
    if speech.state is not State.CANCELLED:
        raise jobs.not_cancellable(speech.name, speech.state)
    return speech


async def retry(owner: str, id: str, *, store: SpeechStore, voices: LearnedVoices) -> Speech:
    """Speaks a text again that could not be spoken.

    Raises:
        NotFound: there is no such speech (SPEECH_NOT_FOUND).
        FailedPrecondition: it has not failed (NOT_RETRIABLE), its voice is gone (VOICE_GONE), or the voice's person
            has revoked their consent (CONSENT_REVOKED).
    """
    speech = await get(owner, id, store=store)
    if speech.state not in (State.FAILED, State.CANCELLED):
        raise jobs.not_retriable(speech.name, speech.state)
    if await voices.artefact(owner, speech.voice) is None:
        with suppress(errors.NotFound):
            await allowed(owner, speech.voice, voices=voices)
        raise errors.FailedPrecondition("VOICE_GONE", f"the voice voices/{speech.voice} was deleted")
    again = _found(await store.retry(owner, id, [State.FAILED, State.CANCELLED]), id)
    if again.attempt == speech.attempt:
        raise jobs.not_retriable(again.name, again.state)
    return again


def _found(speech: Speech | None, id: str) -> Speech:
    if speech is None:
        raise errors.NotFound("SPEECH_NOT_FOUND", f"there is no speeches/{id}", name=f"speeches/{id}")
    return speech
