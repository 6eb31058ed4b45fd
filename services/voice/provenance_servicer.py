"""Provenance: protobuf in, one domain call, protobuf out. Open to anybody, so what it may cost is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from voicemesh.voice.v1 import provenance_pb2, provenance_pb2_grpc

from services.mesh import errors, names
from services.mesh.identity import caller
from services.mesh.interceptors import Context
from services.mesh.times import timestamp
from services.voice import receipts, verification
from services.voice.inspection import inspect
from services.voice.settings import Settings
from services.voice.signing import Signatory
from services.voice.store import Store
from services.voice.verification import Verification

AT_ONCE = 4
"""How many files are taken in and inspected at once; each may be as large as the settings say."""
SECONDS = 60.0
"""How long a file may take to come in and be inspected."""


class ProvenanceServicer(provenance_pb2_grpc.ProvenanceServiceServicer):
    """voicemesh.voice.v1.ProvenanceService"""

    def __init__(self, store: Store, signatory: Signatory, settings: Settings) -> None:
        self._store = store.receipts
        self._signatory = signatory
        self._largest = settings.largest_verified_bytes
        self._places = asyncio.Semaphore(AT_ONCE)

    async def VerifyAudio(
        self, request_iterator: AsyncIterator[provenance_pb2.VerifyAudioRequest], context: Context
    ) -> provenance_pb2.Verification:
        if self._places.locked():
            raise errors.ResourceExhausted("VERIFICATION_BUSY", "too many files are being verified", retry_after=2)
        async with self._places, asyncio.timeout(SECONDS):
            found = await verification.of_audio(
                (message.content.data async for message in request_iterator),
                self._signatory.credential().anchors,
                largest=self._largest,
                inspect=inspect,
                store=self._store,
            )
        return to_proto(found)

    async def VerifyDigest(
        self, request: provenance_pb2.VerifyDigestRequest, context: Context
    ) -> provenance_pb2.Verification:
        anchors = self._signatory.credential().anchors
        sha256, sound = request.sha256.lower(), request.sound_sha256.lower()
        return to_proto(await verification.of_digest(sha256, sound or None, anchors, store=self._store))

    async def GetAuthority(
        self, request: provenance_pb2.GetAuthorityRequest, context: Context
    ) -> provenance_pb2.Authority:
        return provenance_pb2.Authority(certificates=self._signatory.credential().anchors.pem)

    async def GetReceipt(self, request: provenance_pb2.GetReceiptRequest, context: Context) -> provenance_pb2.Receipt:
        id = names.id_of(request.name, "receipts", "RECEIPT_NOT_FOUND")
        token = await receipts.get(caller().user, id, store=self._store)
        return provenance_pb2.Receipt(name=receipts.name(id), token=token)


def to_proto(found: Verification) -> provenance_pb2.Verification:
    """The verification as anybody sees it."""
    origin = found.origin
    return provenance_pb2.Verification(
        verdict=provenance_pb2.Verification.Verdict.Value(found.verdict),
        evidence=provenance_pb2.Verification.Evidence.Value(found.evidence),
        sha256=found.sha256,
        voice=origin.voice if origin else "",
        consent=origin.consent if origin else "",
        engine=origin.engine if origin else "",
        model_hash=origin.model_hash if origin else "",
        make_time=timestamp(found.made_at),
        receipt=found.token,
    )
