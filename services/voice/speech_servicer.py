"""Speech: protobuf in, one domain call, protobuf out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from google.api import httpbody_pb2
from google.protobuf import empty_pb2
from voicemesh.voice.v1 import speech_pb2, speech_pb2_grpc, voice_pb2

from services.mesh import errors, names, status
from services.mesh.identity import caller
from services.mesh.interceptors import Context
from services.mesh.pages import PageTokens
from services.mesh.requests import digest
from services.mesh.times import duration, timestamp
from services.voice import answers, conversions, forms, speaking, speeches, texts
from services.voice.answers import Saying
from services.voice.engine import languages, port
from services.voice.engine.port import Language, Markup
from services.voice.host import EngineHost
from services.voice.jobs import Request
from services.voice.settings import Settings
from services.voice.silencing import Silencing
from services.voice.speeches import NewSpeech, Speech
from services.voice.storage_client import StorageClient
from services.voice.store import Store
from services.voice.voice_servicer import failure_to_proto
from services.voice.vouching import Voucher
from services.voice.watch import Watching

Format = speech_pb2.AudioConfig.Format
Tier = speech_pb2.AudioConfig.Tier


class SpeechServicer(speech_pb2_grpc.SpeechServiceServicer):
    """voicemesh.voice.v1.SpeechService"""

    def __init__(
        self,
        store: Store,
        storage: StorageClient,
        watching: Watching,
        tokens: PageTokens,
        engine: EngineHost,
        silencing: Silencing,
        voucher: Voucher,
        settings: Settings,
    ) -> None:
        self._store = store.speeches
        self._voices = store.voices
        self._usage = store.usage
        self._storage = storage
        self._watching = watching
        self._tokens = tokens
        self._engine = engine
        self._silencing = silencing
        self._voucher = voucher
        self._settings = settings

    async def Speak(self, request: speech_pb2.SpeakRequest, context: Context) -> AsyncIterator[httpbody_pb2.HttpBody]:
        async with aclosing(answers.bodies(await self._speak(request), context)) as bodies:
            async for body in bodies:
                yield body

    async def SpeakWithTimestamps(
        self, request: speech_pb2.SpeakWithTimestampsRequest, context: Context
    ) -> AsyncIterator[speech_pb2.SpeakWithTimestampsResponse]:
        saying, text = await self._speak(request), request.ssml or request.text
        async with aclosing(answers.timed(saying, text, context)) as responses:
            async for response in responses:
                yield response

    async def _speak(self, request: speech_pb2.SpeakRequest | speech_pb2.SpeakWithTimestampsRequest) -> Saying:
        owner = caller().user
        language = texts.language(request.language_code, self._languages)
        text, markup = _written(request)
        await texts.check(text, field="ssml" if request.ssml else "text", markup=markup, language=language.tag)
        form = _form(request.audio_config, "audio_config")
        voice = names.id_of(request.name, "voices", "VOICE_NOT_FOUND")
        artefact = await speeches.artefact(owner, voice, voices=self._voices)
        forms.check_tier(form.tier, language, self._tiers)
        audio = speaking.speak(
            owner,
            artefact,
            text,
            form,
            markup=markup,
            language=language.tag,
            engine=self._engine,
            ledger=self._usage,
        )
        audio = self._silencing.while_allowed(owner, voice, audio)
        return Saying(artefact, form.tier, self._voucher.vouch(owner, artefact, audio))

    async def Convert(
        self, request: speech_pb2.ConvertRequest, context: Context
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        owner = caller().user
        language = texts.language(request.language_code, lambda: conversions.LANGUAGES)
        if request.transcript:
            await texts.check(request.transcript, field="transcript")
        form = _form(request.audio_config, "audio_config")
        voice = names.id_of(request.name, "voices", "VOICE_NOT_FOUND")
        # No engine converts at another tier, and none that is asked for may be passed over.
        forms.check_tier(form.tier, language, lambda: frozenset({port.Tier.NATURAL}))
        artefact = await speeches.artefact(owner, voice, voices=self._voices)
        audio = conversions.convert(
            owner,
            artefact,
            request.recording,
            request.transcript,
            form,
            recordings=self._storage,
            largest=self._settings.largest_recordings_bytes,
            longest_seconds=self._settings.longest_conversion_seconds,
            engine=self._engine,
            ledger=self._usage,
        )
        audio = self._silencing.while_allowed(owner, voice, audio)
        saying = Saying(artefact, form.tier, self._voucher.vouch(owner, artefact, audio))
        async with aclosing(answers.bodies(saying, context)) as bodies:
            async for body in bodies:
                yield body

    async def CreateSpeech(self, request: speech_pb2.CreateSpeechRequest, context: Context) -> speech_pb2.Speech:
        text, markup = _written(request.speech)
        new = NewSpeech(
            owner=caller().user,
            voice=names.id_of(request.speech.voice, "voices", "VOICE_NOT_FOUND"),
            text=text,
            markup=markup,
            language=texts.language(request.language_code, self._languages),
            form=_form(request.speech.audio_config, "speech.audio_config"),
            request=Request(request.request_id, digest(request)),
        )
        return to_proto(await speeches.create(new, store=self._store, voices=self._voices, tiers=self._tiers))

    def _tiers(self) -> frozenset[port.Tier]:
        return self._engine.info.tiers

    def _languages(self) -> Sequence[Language]:
        return self._engine.info.languages

    async def ListLanguages(
        self, request: speech_pb2.ListLanguagesRequest, context: Context
    ) -> speech_pb2.ListLanguagesResponse:
        spoken = [speech_pb2.Language(language_code=tag) for tag in languages.spoken(self._languages())]
        return speech_pb2.ListLanguagesResponse(languages=spoken)

    async def GetSpeech(self, request: speech_pb2.GetSpeechRequest, context: Context) -> speech_pb2.Speech:
        return to_proto(await speeches.get(caller().user, _id(request.name), store=self._store))

    async def GetSpeechTimestamps(
        self, request: speech_pb2.GetSpeechTimestampsRequest, context: Context
    ) -> speech_pb2.SpeechTimestamps:
        id = _id(request.name.removesuffix("/timestamps"))
        speech, found = await speeches.words(caller().user, id, store=self._store)
        return speech_pb2.SpeechTimestamps(
            name=f"{speech.name}/timestamps", words=[answers.word_to_proto(word, speech.text) for word in found]
        )

    async def ListSpeeches(
        self, request: speech_pb2.ListSpeechesRequest, context: Context
    ) -> speech_pb2.ListSpeechesResponse:
        query = (caller().user, "speeches")
        page = self._tokens.page(request.page_size, request.page_token, *query)
        found, token = self._tokens.cut(await self._store.list(caller().user, page), page, *query)
        return speech_pb2.ListSpeechesResponse(speeches=map(to_proto, found), next_page_token=token)

    async def DeleteSpeech(self, request: speech_pb2.DeleteSpeechRequest, context: Context) -> empty_pb2.Empty:
        await speeches.delete(caller().user, _id(request.name), store=self._store, audio=self._storage)
        return empty_pb2.Empty()

    async def CancelSpeech(self, request: speech_pb2.CancelSpeechRequest, context: Context) -> speech_pb2.Speech:
        return to_proto(await speeches.cancel(caller().user, _id(request.name), store=self._store))

    async def RetrySpeech(self, request: speech_pb2.RetrySpeechRequest, context: Context) -> speech_pb2.Speech:
        id = _id(request.name)
        return to_proto(await speeches.retry(caller().user, id, store=self._store, voices=self._voices))

    async def WatchSpeech(
        self, request: speech_pb2.WatchSpeechRequest, context: Context
    ) -> AsyncIterator[speech_pb2.WatchSpeechResponse]:
        owner, id = caller().user, _id(request.name)
        events = self._watching.follow(f"speeches/{id}", lambda: speeches.get(owner, id, store=self._store))
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Speech):
                    yield speech_pb2.WatchSpeechResponse(speech=to_proto(event))
                elif isinstance(event, errors.MeshError):
                    yield speech_pb2.WatchSpeechResponse(error=status.to_proto(event))
                else:
                    yield speech_pb2.WatchSpeechResponse(keep_alive=True)


def to_proto(speech: Speech) -> speech_pb2.Speech:
    """The speech as its owner sees it."""
    return speech_pb2.Speech(
        name=speech.name,
        voice=names.join("voices", speech.voice),
        text=speech.text if speech.markup is Markup.PLAIN else "",
        ssml=speech.text if speech.markup is Markup.SSML else "",
        audio_config=speech_pb2.AudioConfig(
            format=Format.Value(speech.format.upper()),
            sample_rate_hertz=speech.sample_rate,
            speed=speech.speed,
            tier=Tier.Value(speech.tier.value),
        ),
        state=speech_pb2.Speech.State.Value(speech.state),
        progress_percent=speech.progress_percent,
        failure=failure_to_proto(speech.failure),
        audio=speech.audio or "",
        duration=duration(speech.audio_seconds),
        characters=speech.characters,
        engine=speech.engine,
        model_hash=speech.model_hash,
        level=voice_pb2.Voice.Level.Value(speech.level or "LEVEL_UNSPECIFIED"),
        receipt=speech.receipt,
        language_code=speech.language,
        create_time=timestamp(speech.created_at),
        update_time=timestamp(speech.updated_at),
        ready_time=timestamp(speech.ready_at),
    )


def _written(
    request: speech_pb2.SpeakRequest | speech_pb2.SpeakWithTimestampsRequest | speech_pb2.Speech,
) -> tuple[str, Markup]:
    return (request.ssml, Markup.SSML) if request.ssml else (request.text, Markup.PLAIN)


def _form(config: speech_pb2.AudioConfig, field: str) -> forms.AudioForm:
    format, tier = config.format or Format.WAV, config.tier or Tier.NATURAL
    return forms.form(Format.Name(format).lower(), config.sample_rate_hertz, config.speed, Tier.Name(tier), field=field)


def _id(name: str) -> str:
    return names.id_of(name, "speeches", "SPEECH_NOT_FOUND")
