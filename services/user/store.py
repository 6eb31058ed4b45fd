"""All SQL of the user service."""

from __future__ import annotations

from dataclasses import fields
from typing import Generic, TypeVar

from psycopg import sql
from psycopg.rows import class_row

from services.mesh.postgres import Database
from services.user.records import Changes, Record

R = TypeVar("R", bound=Record)


class Table(Generic[R]):
    """Records of one kind in PostgreSQL, in a table whose columns are the kind's fields."""

    def __init__(self, database: Database, name: str, kind: type[R]) -> None:
        self._database = database
        self._kind = kind
        self._table = sql.Identifier(name)
        self._columns = sql.SQL(", ").join(
            sql.SQL("etag::text AS etag") if field.name == "etag" else sql.Identifier(field.name)
            for field in fields(kind)
        )

    async def read(self, owner: str) -> R:
        """The owner's record, made if need be."""
        record = await self._select(owner)
        if record is None:
            await self._make(owner)
            record = await self._select(owner)
        if record is None:
            raise LookupError("a record was deleted while it was being read")
        return record

    async def write(self, owner: str, changes: Changes, etag: str) -> R | None:
        """The record with the changes made; None, and nothing is changed, if it has another etag by now."""
        await self._make(owner)
        new_values: list[sql.Composable] = [
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in changes
        ]
        if changes:
            new_values += [sql.SQL("etag = gen_random_uuid()"), sql.SQL("updated_at = now()")]
        else:
            new_values = [sql.SQL("owner = owner")]
        query = sql.SQL(
            "UPDATE {} SET {} WHERE owner = %(owner)s AND (%(etag)s = '' OR etag::text = %(etag)s) RETURNING {}"
        ).format(self._table, sql.SQL(", ").join(new_values), self._columns)
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(self._kind))
            await cursor.execute(query, {**changes, "owner": owner, "etag": etag})
            return await cursor.fetchone()

    async def _select(self, owner: str) -> R | None:
        query = sql.SQL("SELECT {} FROM {} WHERE owner = %s").format(self._columns, self._table)
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(self._kind))
            await cursor.execute(query, [owner])
            return await cursor.fetchone()

    async def _make(self, owner: str) -> None:
        query = sql.SQL("INSERT INTO {} (owner) VALUES (%s) ON CONFLICT DO NOTHING").format(self._table)
        async with self._database.connection() as connection:
            await connection.execute(query, [owner])
