"""All SQL of the auth service."""

from __future__ import annotations

from datetime import datetime

from psycopg.rows import class_row

from services.auth.accounts import Account
from services.auth.keys import StoredKey
from services.auth.sessions import Refreshed
from services.mesh import names
from services.mesh.audit import store as audit
from services.mesh.audit.events import Kind
from services.mesh.postgres import Connection, Database

_ACCOUNT = "id::text AS id, email, password, created_at"


class Store:
    """Accounts, sessions and signing keys in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_account(self, email: str, password: str) -> Account | None:
        """The new account, or None if the address has one."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Account))
            await cursor.execute(
                "INSERT INTO accounts (id, email, password) VALUES (%s, %s, %s)"
                f" ON CONFLICT (email) DO NOTHING RETURNING {_ACCOUNT}",
                [names.new_id(), email, password],
            )
            account = await cursor.fetchone()
            if account is not None:
                await audit.record(connection, Kind.ACCOUNT_REGISTERED, account.id)
            return account

    async def account_by_email(self, email: str) -> Account | None:
        """The account of an address."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Account))
            await cursor.execute(f"SELECT {_ACCOUNT} FROM accounts WHERE email = %s", [email])
            return await cursor.fetchone()

    async def account(self, id: str) -> Account | None:
        """The account of a user id."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Account))
            await cursor.execute(f"SELECT {_ACCOUNT} FROM accounts WHERE id = %s", [id])
            return await cursor.fetchone()

    async def note_failure(self, id: str) -> None:
        """Writes down that somebody showed a wrong password of an account, or of none (NOBODY)."""
        async with self._database.connection() as connection:
            await audit.record(connection, Kind.SIGN_IN_FAILED, id)

    async def add_session(self, session: str, user: str, refresh: bytes, expires: datetime) -> None:
        """Keeps a new session with the hash of its first refresh token; forgets those that nobody can renew."""
        async with self._database.connection() as connection:
            await connection.execute(
                "DELETE FROM sessions s WHERE account = %s AND NOT EXISTS"
                " (SELECT FROM refresh_tokens t WHERE t.session = s.id AND t.expires_at > now())",
                [user],
            )
            await connection.execute("INSERT INTO sessions (id, account) VALUES (%s, %s)", [session, user])
            await connection.execute(
                "INSERT INTO refresh_tokens (hash, session, expires_at) VALUES (%s, %s, %s)",
                [refresh, session, expires],
            )
            await audit.record(connection, Kind.SIGNED_IN, user, names.join("sessions", session))

    async def refresh_session(self, shown: bytes, refresh: bytes, expires: datetime) -> Refreshed | None:
        """Replaces the refresh token with the hash `shown`; None if it is of no living session.

        Two calls with one token take turns on its row, so the second finds it used.
        """
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT s.account::text, s.id::text, t.used_at IS NOT NULL"
                " FROM refresh_tokens t JOIN sessions s ON s.id = t.session"
                " WHERE t.hash = %s AND t.expires_at > now() AND s.ended_at IS NULL FOR UPDATE",
                [shown],
            )
            row = await cursor.fetchone()
            if row is None:
                return None
            user, session, used = row
            if used:
                await connection.execute("UPDATE sessions SET ended_at = now() WHERE id = %s", [session])
                await _ended(connection, user, session, "REFRESH_TOKEN_REUSED")
                return Refreshed(user, session, reused=True)
            await connection.execute("UPDATE refresh_tokens SET used_at = now() WHERE hash = %s", [shown])
            await connection.execute(
                "INSERT INTO refresh_tokens (hash, session, expires_at) VALUES (%s, %s, %s)",
                [refresh, session, expires],
            )
            return Refreshed(user, session)

    async def end_session(self, session: str, user: str) -> None:
        """Ends a session of a user."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "UPDATE sessions SET ended_at = now() WHERE id = %s AND account = %s AND ended_at IS NULL",
                [session, user],
            )
            if cursor.rowcount:
                await _ended(connection, user, session, "SIGNED_OUT")

    async def first_key_or(self, new: StoredKey) -> None:
        """Adds `new` if there is no key at all; one caller wins."""
        async with self._database.connection() as connection:
            await connection.execute("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")
            await connection.execute(
                "INSERT INTO signing_keys (id, private) SELECT %s, %s WHERE NOT EXISTS (SELECT FROM signing_keys)",
                [new.id, new.private],
            )

    async def signing_keys(self) -> list[StoredKey]:
        """All keys that still verify tokens, newest first."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(StoredKey))
            await cursor.execute("SELECT id::text AS id, private FROM signing_keys ORDER BY id DESC")
            return await cursor.fetchall()


async def _ended(connection: Connection, user: str, session: str, reason: str) -> None:
    await audit.record(connection, Kind.SESSION_ENDED, user, names.join("sessions", session), reason=reason)
