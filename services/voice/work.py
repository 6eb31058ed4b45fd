"""What a worker does for one job: learns a voice, refines it, or speaks a text.

All may be run again from the beginning at any time: a result counts only if its row still wants it, and is
written in one transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TypeAlias

import structlog

from services.mesh import errors, names
from services.mesh.identity import Caller, acting_for
from services.voice import manifests, receipts
from services.voice.consent_checks import CheckUnusable
from services.voice.consents import REVOKED
from services.voice.engine import script, writings
from services.voice.engine.encoders import FORMATS, encoder
from services.voice.engine.errors import EngineError
from services.voice.engine.port import Level, Word
from services.voice.forms import level_at
from services.voice.hearing import CheckDied, hear
from services.voice.host import EngineDied, EngineHost
from services.voice.jobs import Failure
from services.voice.receipts import Receipt
from services.voice.refinements import Refined, Refinement, Wish, chosen
from services.voice.signing import Signatory
from services.voice.speeches import GONE, Artefact, Speech, Spoken
from services.voice.storage_client import FileGone, StorageClient
from services.voice.store import Store
from services.voice.store.rows import JobRows
from services.voice.voices import Voice

log: structlog.stdlib.BoundLogger = structlog.get_logger("work")

Job: TypeAlias = Voice | Speech | Refinement
Rows: TypeAlias = JobRows[Voice] | JobRows[Speech] | JobRows[Refinement]

PROGRESS_SECONDS = 0.3
TRANSIENT = (errors.Unavailable, errors.ResourceExhausted, EngineDied, CheckDied)
"""What may be gone when the work is tried again."""


class GiveUp(Exception):
    """The work cannot succeed, for a reason that its owner should know."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(reason, message)


@dataclass(frozen=True)
class Work:
    """The work of one worker."""

    store: Store
    storage: StorageClient
    engine: EngineHost
    refining: Callable[[], AbstractAsyncContextManager[EngineHost]]
    """Opens an engine of its own for each refinement, which takes minutes."""
    signatory: Signatory
    """Vouches for finished speech; what cannot be vouched for is not kept."""
    usual: Wish = Wish.STANDARD
    """How deep a voice is refined where its creator did not say."""

    async def learn(self, id: str, attempt: int, *, last_try: bool) -> None:
        """Learns a voice, if it is still wanted. Raises one of TRANSIENT unless this is the last try."""
        voice = await self.store.voices.begin(id, attempt)
        if voice is not None:
            with acting_for(Caller(user=voice.owner, request_id=f"voice-{id}")):
                await _or_fail(self._learn(voice), self.store.voices, voice, last_try)

    async def speak(self, id: str, attempt: int, *, last_try: bool) -> None:
        """Speaks a text, if it is still wanted. Raises one of TRANSIENT unless this is the last try."""
        speech = await self.store.speeches.begin(id, attempt)
        if speech is not None:
            with acting_for(Caller(user=speech.owner, request_id=f"speech-{id}")):
                await _or_fail(self._speak(speech), self.store.speeches, speech, last_try)

    async def refine(self, id: str, attempt: int, *, last_try: bool) -> None:
        """Refines a voice, if that is still wanted. Raises one of TRANSIENT unless this is the last try."""
        refinement = await self.store.refinements.begin(id, attempt)
        if refinement is not None:
            with acting_for(Caller(user=refinement.owner, request_id=f"refinement-{id}")):
                await _or_fail(self._refine(refinement), self.store.refinements, refinement, last_try)

    async def _recordings(self, files: Sequence[str]) -> list[bytes]:
        try:
            return [await self.storage.read(name) for name in files]
        except FileGone as gone:
            raise GiveUp("RECORDING_GONE", f"the recording {gone} was deleted") from None

    async def _learn(self, voice: Voice) -> None:
        recordings = await self._recordings(voice.recordings)
        if voice.consent.phrase and voice.consent.heard_at is None:
            await self._hear(voice, recordings)
        async with Reporter(self.store.voices, voice) as reporter:
            enrolment = await self.engine.enrol(recordings, reporter.report)
        info = self.engine.info
        artefact = Artefact(voice.id, enrolment.artefact, info.name, info.model_hash)
        report = enrolment.report.to_dict()
        depth = chosen(voice.refinement_depth, self.usual, info.refines, worded=voice.worded)
        await self.store.voices.learned(voice.id, voice.run, artefact, str(Level.INSTANT), report, depth)

    async def _hear(self, voice: Voice, recordings: list[bytes]) -> None:
        """Lets a voice pass in whose recordings its consent is spoken."""
        try:
            heard = await hear(voice.consent.check_name, recordings, voice.consent.phrase)
        except CheckUnusable as error:
            raise GiveUp("CONSENT_CHECK_UNAVAILABLE", f"nobody can listen to the consent: {error}") from error
        if not heard:
            raise GiveUp("CONSENT_NOT_SPOKEN", "the phrase is not spoken in any of the recordings, or not clearly")
        await self.store.consents.heard(voice.id)

    async def _refine(self, refinement: Refinement) -> None:
        material = await self.store.refinements.material(refinement.id)
        if material is None:
            return  # The voice was deleted, and with it this.
        recordings = await self._recordings(material.recordings)
        async with self.refining() as engine, Reporter(self.store.refinements, refinement) as reporter:
            made = await engine.refine(
                material.artefact, recordings, material.transcripts, refinement.depth, reporter.report
            )
            info = engine.info
        result = Refined(made.artefact, made.better, made.score_before, made.score_after, info.name, info.model_hash)
        await self.store.refinements.refined(refinement.id, refinement.run, result)

    async def _speak(self, speech: Speech) -> None:
        artefact = await self.store.voices.artefact(speech.owner, speech.voice)
        if artefact is None:
            voice = await self.store.voices.get(speech.owner, speech.voice)
            why = GONE if voice is None or voice.consent.revoked_at is None else REVOKED
            raise GiveUp(why.reason, why.message)
        self.signatory.credential()  # Before an hour of work, rather than after it.
        info, spoken, seconds, words = self.engine.info, 0, 0.0, list[Word]()
        count, characters = await asyncio.to_thread(_measured, speech)
        # Hours of speech are hundreds of megabytes: more than a worker should hold.
        with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as signed:
            into = encoder(speech.format, source_rate=info.sample_rate, sample_rate=speech.sample_rate, file=file)
            async with (
                Reporter(self.store.speeches, speech) as reporter,
                aclosing(
                    self.engine.speak(
                        artefact.content, speech.text, speech.speed, speech.markup, speech.tier, speech.language
                    )
                ) as audible,
            ):
                async for chunk in audible:
                    await asyncio.to_thread(into.feed, chunk.samples)
                    words += [word.later(seconds) for word in chunk.words]
                    spoken += 1
                    seconds += chunk.samples.size / info.sample_rate
                    reporter.report("speaking", min(95, 95 * spoken // count))
            await asyncio.to_thread(into.finish)
            name = f"{speech.id}.{FORMATS[speech.format].extension}"
            upload = await asyncio.to_thread(_upload_id, speech, file)
            made, made_at = receipts.origin(speech.voice, info.name, info.model_hash), datetime.now(UTC)
            credential = self.signatory.credential()
            carries = into.content_type in manifests.CONTENT_TYPES
            if carries:
                await asyncio.to_thread(manifests.embed, file, signed, into.content_type, made, made_at, credential)
            audio = await self.storage.keep_speech(signed if carries else file, into.content_type, name, upload)
            sound = await asyncio.to_thread(manifests.sound, file) if carries else None
        receipt = Receipt(names.new_id(), audio.sha256, audio.size, into.content_type, made, made_at, sound or "")
        token = receipts.issue(receipt, credential)
        level = level_at(speech.tier, artefact.level)
        result = Spoken(
            audio.name, seconds, characters, info.name, info.model_hash, level, tuple(words), receipt, token
        )
        if await self.store.speeches.spoken(speech.id, speech.run, result):
            return
        # Another run of the same attempt stores the same audio as the same file.
        if not await self.store.speeches.wants(speech.id, speech.attempt):
            await self.storage.remove(audio.name)

    async def remove(self, owner: str, name: str) -> None:
        """Removes a file of an owner. Raises one of TRANSIENT where storage does not answer."""
        with acting_for(Caller(user=owner, request_id=f"remove-{name}")):
            await self.storage.remove(name)


class Reporter:
    """Writes the progress of a job into its row, at most every PROGRESS_SECONDS."""

    def __init__(self, rows: Rows, job: Job) -> None:
        self._rows = rows
        self._job = job
        self._latest: tuple[str, int] | None = None
        self._told = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    def report(self, stage: str, percent: int) -> None:
        """Notes stage and per cent."""
        self._latest = (stage, percent)
        self._told.set()

    async def __aenter__(self) -> Reporter:
        self._writing = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._writing is not None
        self._writing.cancel()
        await asyncio.gather(self._writing, return_exceptions=True)

    async def _write(self) -> None:
        while True:
            await self._told.wait()
            self._told.clear()
            if self._latest is not None:
                # The row is only told how far it is: the next time will do.
                with suppress(errors.Unavailable):
                    await self._rows.progress(self._job.id, self._job.run, *self._latest)
            await asyncio.sleep(PROGRESS_SECONDS)


async def _or_fail(work: Awaitable[None], rows: Rows, job: Job, last_try: bool) -> None:
    """Awaits the work; marks the row FAILED where trying again cannot help."""
    try:
        await work
    except GiveUp as given_up:
        await rows.fail(job.id, job.run, given_up.failure)
    except EngineError as error:
        await rows.fail(job.id, job.run, Failure(error.reason, str(error)))
    except TRANSIENT as error:
        if not last_try:
            raise
        log.error("job failed for good", job=job.name, error=str(error))
        await rows.fail(job.id, job.run, Failure("UNAVAILABLE", "the platform was not able to do this; try again"))
    except Exception:
        log.exception("job failed", job=job.name)
        await rows.fail(job.id, job.run, Failure("INTERNAL", "the platform failed at this; its log says why"))


def _measured(speech: Speech) -> tuple[int, int]:
    """(sentences, characters) of its text, neither 0."""
    read = script.read(speech.text, speech.markup, speech.language)
    writing = writings.of(speech.language)
    count = sum(1 for passage in read.passages for _ in writing.sentences(passage.text.text))
    return max(1, count), len(read.words.text)


def _upload_id(speech: Speech, content: IO[bytes]) -> str:
    """The same for the same audio of the same attempt, so that a job run twice stores it once."""
    content.seek(0)
    digest = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
    return str(uuid.uuid5(uuid.UUID(speech.id), f"{speech.attempt}/{digest}"))
