"""Receipts: what was signed, found again by the bytes that it was signed for."""

from __future__ import annotations

from services.mesh.postgres import Connection, Database
from services.voice.receipts import Receipt


class ReceiptRows:
    """Receipts in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, owner: str, receipt: Receipt, token: str) -> None:
        """Keeps a receipt of audio that was spoken at once."""
        async with self._database.connection() as connection:
            await keep_within(connection, owner, receipt, token)

    async def get(self, owner: str, id: str) -> str | None:
        """A receipt of this owner, as it was signed."""
        async with self._database.connection() as connection:
            cursor = await connection.execute("SELECT token FROM receipts WHERE owner = %s AND id = %s", [owner, id])
            row = await cursor.fetchone()
            return None if row is None else row[0]

    async def of_audio(self, sha256: str) -> str | None:
        """The first receipt for bytes of this digest, whoever's it is."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT token FROM receipts WHERE sha256 = %s ORDER BY id LIMIT 1", [bytes.fromhex(sha256)]
            )
            row = await cursor.fetchone()
            return None if row is None else row[0]

    async def of_sound(self, sha256: str) -> str | None:
        """The first receipt for a file whose sound has this digest, whoever's it is."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT token FROM receipts WHERE sound = %s ORDER BY id LIMIT 1", [bytes.fromhex(sha256)]
            )
            row = await cursor.fetchone()
            return None if row is None else row[0]


async def keep_within(connection: Connection, owner: str, receipt: Receipt, token: str) -> None:
    """Keeps a receipt, within a transaction."""
    await connection.execute(
        "INSERT INTO receipts (id, owner, sha256, sound, token) VALUES (%s, %s, %s, %s, %s)",
        [
            receipt.id,
            owner,
            bytes.fromhex(receipt.sha256),
            bytes.fromhex(receipt.sound) if receipt.sound else None,
            token,
        ],
    )
