"""All SQL of the storage service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from psycopg.rows import class_row

from services.mesh import errors, names
from services.mesh.audit import store as audit
from services.mesh.audit.events import Kind
from services.mesh.pages import Page
from services.mesh.postgres import Connection, Database
from services.storage.files import File, Purpose
from services.storage.uploads import NewFile
from services.storage.usage import Day, Usage

_FILE = "id::text AS id, display_name, content_type, size, sha256, purpose, seconds, created_at"


class Store:
    """Files, the ledger of uploads, and the bytes to be removed, in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def file(self, owner: str, id: str) -> File | None:
        """A file of an owner."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(File))
            await cursor.execute(f"SELECT {_FILE} FROM files WHERE owner = %s AND id = %s", [owner, id])
            return await cursor.fetchone()

    async def file_of_request(self, owner: str, request_id: str) -> File | None:
        """The file that a request made before."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(File))
            await cursor.execute(f"SELECT {_FILE} FROM files WHERE owner = %s AND request_id = %s", [owner, request_id])
            return await cursor.fetchone()

    async def files(self, owner: str, purpose: Purpose, page: Page) -> Sequence[File]:
        """Up to `page.size + 1` files, newest first."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(File))
            await cursor.execute(
                f"SELECT {_FILE} FROM files WHERE owner = %(owner)s AND purpose = %(purpose)s"
                " AND (%(after)s::uuid IS NULL OR id < %(after)s) ORDER BY id DESC LIMIT %(limit)s",
                {"owner": owner, "purpose": purpose, "after": page.after or None, "limit": page.size + 1},
            )
            return await cursor.fetchall()

    async def reserve(self, id: str) -> None:
        """Makes the bytes of a file that may never come due for removal, some time from now."""
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO discards (file, due) VALUES (%s, now() + interval '15 minutes')", [id]
            )

    async def renew(self, id: str) -> None:
        """Puts off the removal of bytes that are still being written, unless it has begun."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE discards SET due = now() + interval '15 minutes' WHERE file = %s AND due > '-infinity'", [id]
            )

    async def add(self, new: NewFile) -> File:
        """The file of this request_id: the new one, entered in the ledger too, or the one that was there.

        Raises:
            Unavailable: it took so long that its bytes were given up (UPLOAD_EXPIRED); they are due for removal again.
        """
        async with self._database.connection() as connection:
            file = await self._add(new, connection)
        if file is None:  # Told after the transaction, which has to keep the bytes' entry among the discards.
            raise errors.Unavailable("UPLOAD_EXPIRED", "storing the file took too long; send it again")
        return file

    async def _add(self, new: NewFile, connection: Connection) -> File | None:
        held = await connection.execute(
            "SELECT FROM discards WHERE file = %s AND due > '-infinity' FOR UPDATE", [new.id]
        )
        if not held.rowcount:
            await connection.execute(
                "INSERT INTO discards (file, due) VALUES (%s, now()) ON CONFLICT DO NOTHING", [new.id]
            )
            return None
        cursor = connection.cursor(row_factory=class_row(File))
        # The update changes nothing: it makes the row that was there first come back, locked.
        await cursor.execute(
            "INSERT INTO files"
            " (id, owner, display_name, content_type, size, sha256, purpose, seconds, request_id) VALUES"
            " (%(id)s, %(owner)s, %(display_name)s, %(content_type)s, %(size)s, %(sha256)s, %(purpose)s,"
            " %(seconds)s, %(request_id)s)"
            " ON CONFLICT (owner, request_id) DO UPDATE SET request_id = EXCLUDED.request_id"
            f" RETURNING {_FILE}",
            asdict(new),
        )
        file = await cursor.fetchone()
        if file is None:
            raise LookupError("INSERT … RETURNING returned nothing")
        if file.id != new.id:
            return file
        await connection.execute("DELETE FROM discards WHERE file = %s", [new.id])
        await connection.execute(
            "INSERT INTO uploads (file, owner, purpose, size) VALUES (%s, %s, %s, %s)",
            [new.id, new.owner, new.purpose, new.size],
        )
        details = {"purpose": new.purpose.value, "size_bytes": str(new.size), "sha256": new.sha256}
        await audit.record(connection, Kind.FILE_UPLOADED, new.owner, names.join("files", new.id), **details)
        return file

    async def remove(self, owner: str, id: str) -> bool:
        """Takes a file from its owner and makes its bytes due for removal; whether there was one."""
        async with self._database.connection() as connection:
            cursor = await connection.execute("DELETE FROM files WHERE owner = %s AND id = %s", [owner, id])
            if cursor.rowcount:
                await connection.execute("INSERT INTO discards (file, due) VALUES (%s, now())", [id])
                await audit.record(connection, Kind.FILE_DELETED, owner, names.join("files", id))
            return cursor.rowcount > 0

    async def claim_discards(self) -> Sequence[str]:
        """Ids of some files whose bytes are due for removal. No upload can lay claim to them after this."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "UPDATE discards SET due = '-infinity' WHERE file IN"
                " (SELECT file FROM discards WHERE due <= now() ORDER BY due LIMIT 100 FOR UPDATE SKIP LOCKED)"
                " RETURNING file::text"
            )
            return [id for (id,) in await cursor.fetchall()]

    async def forget_discard(self, id: str) -> None:
        """The bytes have been removed."""
        async with self._database.connection() as connection:
            await connection.execute("DELETE FROM discards WHERE file = %s", [id])

    async def usage(self, owner: str, days: int) -> Usage:
        """What `owner` stores now, and uploaded today (UTC) and in the `days - 1` days before."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT coalesce(sum(size), 0)::bigint, count(*) FROM files WHERE owner = %s", [owner]
            )
            stored_bytes, stored_files = await cursor.fetchone() or (0, 0)
            by_day = connection.cursor(row_factory=class_row(Day))
            await by_day.execute(
                "SELECT (created_at AT TIME ZONE 'UTC')::date AS date, sum(size)::bigint AS uploaded_bytes"
                " FROM uploads WHERE owner = %s AND purpose = 'RECORDING'"
                " AND created_at >= date_trunc('day', now(), 'UTC') - make_interval(hours => 24 * (%s - 1))"
                " GROUP BY 1 ORDER BY 1 DESC",
                [owner, days],
            )
            return Usage(stored_bytes, stored_files, await by_day.fetchall())
