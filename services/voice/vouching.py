"""Vouching for what is spoken at once: it is hashed as it leaves, and its receipt is signed and kept at its end.

Whoever hangs up before has no receipt: what they have heard is known to them alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from services.mesh import names
from services.voice import receipts
from services.voice.receipts import Receipt, Receipts
from services.voice.signing import Signatory
from services.voice.speaking import Piece
from services.voice.speeches import Artefact


@dataclass(frozen=True)
class Vouched:
    """Audio and where its receipt will be."""

    receipt: str
    """Resource name, `receipts/{receipt}`."""
    audio: AsyncGenerator[Piece, None]


class Voucher:
    """Signs and keeps receipts."""

    def __init__(self, signatory: Signatory, store: Receipts) -> None:
        self._signatory = signatory
        self._store = store

    def vouch(self, owner: str, artefact: Artefact, audio: AsyncGenerator[Piece, None]) -> Vouched:
        """The audio, and after it one more piece with its receipt.

        Raises:
            Unavailable: nothing can be signed, so nothing is to be said (SIGNING_UNAVAILABLE).
        """
        self._signatory.credential()
        id = names.new_id()
        return Vouched(receipts.name(id), self._vouched(id, owner, artefact, audio))

    async def _vouched(
        self, id: str, owner: str, artefact: Artefact, audio: AsyncGenerator[Piece, None]
    ) -> AsyncGenerator[Piece, None]:
        digest, size, content_type = hashlib.sha256(), 0, ""
        async with aclosing(audio):
            async for piece in audio:
                digest.update(piece.data)
                size += len(piece.data)
                content_type = piece.content_type
                yield piece
        # It is spoken by the engine that made the artefact, or not at all.
        origin = receipts.origin(artefact.voice, artefact.engine, artefact.model_hash)
        receipt = Receipt(id, digest.hexdigest(), size, content_type, origin, datetime.now(UTC))
        token = receipts.issue(receipt, self._signatory.credential())
        await self._store.keep(owner, receipt, token)
        yield Piece(content_type, b"", receipt=token)
