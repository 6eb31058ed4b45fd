"""Answers: how a stream of speech comes to whoever asked for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from google.api import httpbody_pb2
from voicemesh.voice.v1 import speech_pb2, voice_pb2

from services.mesh.interceptors import Context
from services.mesh.times import duration
from services.voice import forms
from services.voice.engine.port import Tier, Word
from services.voice.speeches import Artefact
from services.voice.vouching import Vouched

RECEIPT = "x-voicemesh-receipt"
RECEIPT_TOKEN = "x-voicemesh-receipt-token"  # noqa: S105 - the name of a header


@dataclass(frozen=True)
class Saying:
    """What is being said, and what says it."""

    artefact: Artefact
    """It is spoken by the engine that made it, or not at all."""
    tier: Tier
    vouched: Vouched

    @property
    def level(self) -> str:
        """How thoroughly the voice was learned that is heard."""
        return forms.level_at(self.tier, self.artefact.level)


async def bodies(saying: Saying, context: Context) -> AsyncGenerator[httpbody_pb2.HttpBody, None]:
    """The audio alone, with its media type in the first message, and its receipt behind it in the metadata."""
    first = True
    async with aclosing(saying.vouched.audio) as audio:
        async for piece in audio:
            if piece.receipt:
                context.set_trailing_metadata(((RECEIPT_TOKEN, piece.receipt),))
            if not piece.data:
                continue
            if first:
                await _introduce(saying, context)
            yield httpbody_pb2.HttpBody(content_type=piece.content_type if first else "", data=piece.data)
            first = False


async def timed(
    saying: Saying, text: str, context: Context
) -> AsyncGenerator[speech_pb2.SpeakWithTimestampsResponse, None]:
    """The audio with the words of `text` in it, in the first message what speaks, and in the last the receipt."""
    first = True
    async with aclosing(saying.vouched.audio) as audio:
        async for piece in audio:
            response = speech_pb2.SpeakWithTimestampsResponse(
                audio=piece.data,
                words=[word_to_proto(word, text) for word in piece.words],
                characters=[word_to_proto(each, text) for word in piece.words for each in word.characters()],
                receipt=piece.receipt,
            )
            if first:
                await _introduce(saying, context)
                response.content_type = piece.content_type
                response.engine, response.model_hash = saying.artefact.engine, saying.artefact.model_hash
                response.level = voice_pb2.Voice.Level.Value(saying.level)
                response.tier = speech_pb2.AudioConfig.Tier.Value(saying.tier.value)
                first = False
            yield response


def word_to_proto(word: Word, text: str) -> speech_pb2.Word:
    """A word of a text, in seconds from the start of the audio."""
    return speech_pb2.Word(
        text=text[word.start : word.end],
        text_start=word.start,
        text_end=word.end,
        start_offset=duration(word.start_seconds),
        end_offset=duration(word.end_seconds),
    )


async def _introduce(saying: Saying, context: Context) -> None:
    """Says in the headers what speaks; only once it does, since the status goes with them."""
    await context.send_initial_metadata(
        (
            ("x-voicemesh-engine", saying.artefact.engine),
            ("x-voicemesh-model-hash", saying.artefact.model_hash),
            ("x-voicemesh-level", saying.level),
            ("x-voicemesh-tier", saying.tier.value),
            (RECEIPT, saying.vouched.receipt),
        )
    )
