"""Consents: protobuf in, one domain call, protobuf out."""

from __future__ import annotations

from voicemesh.voice.v1 import consent_pb2, consent_pb2_grpc, voice_pb2

from services.mesh import errors, names
from services.mesh.identity import caller
from services.mesh.interceptors import Context
from services.mesh.pages import PageTokens
from services.mesh.times import timestamp
from services.voice import consents
from services.voice.consents import Consent
from services.voice.settings import Settings
from services.voice.store import Store


class ConsentServicer(consent_pb2_grpc.ConsentServiceServicer):
    """voicemesh.voice.v1.ConsentService"""

    def __init__(self, store: Store, tokens: PageTokens, settings: Settings) -> None:
        self._store = store.consents
        self._tokens = tokens
        self._settings = settings

    async def GetConsent(self, request: consent_pb2.GetConsentRequest, context: Context) -> voice_pb2.Consent:
        return to_proto(await consents.get(caller().user, _voice(request.name), store=self._store))

    async def ListConsents(
        self, request: consent_pb2.ListConsentsRequest, context: Context
    ) -> consent_pb2.ListConsentsResponse:
        query = (caller().user, "consents")
        page = self._tokens.page(request.page_size, request.page_token, *query)
        found, token = self._tokens.cut(await self._store.list(caller().user, page), page, *query)
        return consent_pb2.ListConsentsResponse(consents=map(to_proto, found), next_page_token=token)

    async def CreateConsentChallenge(
        self, request: consent_pb2.CreateConsentChallengeRequest, context: Context
    ) -> consent_pb2.ConsentChallenge:
        made = await consents.challenge(
            caller().user,
            check=self._settings.consent_check,
            seconds=self._settings.consent_challenge_seconds,
            store=self._store,
        )
        return consent_pb2.ConsentChallenge(
            challenge=made.id, phrase=made.phrase, expire_time=timestamp(made.expires_at)
        )

    async def RevokeConsent(self, request: consent_pb2.RevokeConsentRequest, context: Context) -> voice_pb2.Consent:
        voice = _voice(request.name)
        return to_proto(await consents.revoke(caller().user, voice, caller().address, store=self._store))


def to_proto(consent: Consent) -> voice_pb2.Consent:
    """The consent as the user who told of it sees it."""
    return voice_pb2.Consent(
        name=consent.name,
        user=names.join("users", consent.owner),
        statement=consent.statement,
        given_by=consent.given_by,
        give_time=timestamp(consent.given_at),
        recordings=[
            voice_pb2.Consent.Recording(name=name, sha256=digest)
            for name, digest in zip(consent.recordings, consent.digests, strict=True)
        ],
        address=consent.address,
        phrase=consent.phrase,
        hear_time=timestamp(consent.heard_at),
        revoke_time=timestamp(consent.revoked_at),
    )


def _voice(name: str) -> str:
    """The id in `voices/{voice}/consent`."""
    try:
        return names.id_of(name.removesuffix("/consent"), "voices", "CONSENT_NOT_FOUND")
    except errors.NotFound as error:
        raise errors.NotFound(error.reason, f"there is no {name}", name=name) from None
