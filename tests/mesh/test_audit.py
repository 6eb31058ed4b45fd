"""The audit log against a real PostgreSQL: what is written stays, and what is tampered with is noticed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner
from voicemesh.audit.v1 import audit_pb2

from services.cli.__main__ import app
from services.local import postgres as embedded
from services.local import state
from services.mesh import names
from services.mesh.audit import store
from services.mesh.audit.events import Kind
from services.mesh.audit.log import AuditLog
from services.mesh.audit.verification import Ends, Findings, verify
from services.mesh.identity import Caller, acting_for
from services.mesh.postgres import Database, open_database

ADA = "01990000-0000-7000-8000-00000000000a"
EVE = "01990000-0000-7000-8000-00000000000e"


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
async def database(url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(url, tmp_path) as opened:
        yield opened


async def noted(database: Database, owner: str, count: int) -> None:
    """So many events of a user."""
    for number in range(count):
        async with database.connection() as connection:
            await store.record(connection, Kind.FILE_UPLOADED, owner, f"files/{number}", size_bytes=str(number))


@pytest.fixture
def tamper(postgres: embedded.Postgres, url: str) -> Callable[..., None]:
    """Runs statements as whoever may do everything, past all triggers."""

    def run(*statements: str) -> None:
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        with psycopg.connect(postgres.url(name, "postgres")) as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in statements:
                assert connection.execute(statement).rowcount != 0

    return run


def told(findings: Findings) -> list[tuple[str, int, str]]:
    return [(fault.owner, fault.number, fault.what.partition(":")[0].partition(";")[0]) for fault in findings.faults]


async def test_an_event_says_who_asked_for_it_and_from_where(database: Database) -> None:
    who = Caller(user=ADA, session="s1", peer="envoy", request_id="r1", address="203.0.113.7")
    with acting_for(who):
        async with database.connection() as connection:
            await store.record(connection, Kind.VOICE_DELETED, ADA, "voices/1", reason="WANTED")

    answer = await AuditLog("voice", database).read(ADA, audit_pb2.ReadAuditLogRequest(limit=10))

    (event,) = answer.events
    assert event.name.startswith(f"users/{ADA}/auditEvents/")
    assert (event.kind, event.resource) == (audit_pb2.AuditEvent.VOICE_DELETED, "voices/1")
    assert (event.session, event.peer, event.request_id, event.address) == ("s1", "envoy", "r1", "203.0.113.7")
    assert (event.service, event.number, dict(event.details)) == ("voice", 1, {"reason": "WANTED"})
    assert event.event_time.seconds > 0


async def test_the_hash_is_what_the_contract_says(database: Database, url: str) -> None:
    await noted(database, ADA, 2)

    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await (
            await connection.execute(
                "SELECT (extract(epoch FROM at) * 1000000)::bigint, id::text, previous, hash, number, resource"
                " FROM audit_events ORDER BY number"
            )
        ).fetchall()
    previous = bytes(32)
    for at, id, before, hash, number, resource in rows:
        said = {
            "address": "",
            "api_key": "",
            "at": at,
            "details": {"size_bytes": str(number - 1)},
            "id": id,
            "kind": "FILE_UPLOADED",
            "number": number,
            "owner": ADA,
            "peer": "",
            "request_id": "",
            "resource": resource,
            "session": "",
        }
        canonical = json.dumps(said, separators=(",", ":")).encode()

        assert before == previous
        assert hash == hashlib.sha256(b"voicemesh audit event 1\n" + previous + canonical).digest()
        previous = hash
    assert len(rows) == 2


async def test_an_event_is_there_exactly_if_what_it_tells_of_is(database: Database, url: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.connection() as connection:
            await store.record(connection, Kind.VOICE_CREATED, ADA)
            raise ZeroDivisionError
    await noted(database, ADA, 1)

    found = await verify(url, {})

    assert (found.events, told(found)) == (1, [])


async def test_events_written_at_once_make_one_chain(database: Database, url: str) -> None:
    await asyncio.gather(*(noted(database, owner, 5) for owner in [ADA, EVE] * 4))

    found = await verify(url, {})

    assert (found.events, told(found)) == (40, [])
    assert {owner: end.length for owner, end in found.ends.items()} == {ADA: 20, EVE: 20}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET address = ''",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "DELETE FROM audit_chains",
        "TRUNCATE audit_chains",
        "UPDATE audit_chains SET length = 1",
        "UPDATE audit_chains SET length = 9",
        f"UPDATE audit_chains SET owner = '{EVE}'",
    ],
)
async def test_the_database_refuses_to_change_it(database: Database, url: str, statement: str) -> None:
    await noted(database, ADA, 3)

    async with await psycopg.AsyncConnection.connect(url) as connection:
        with pytest.raises(psycopg.errors.RaiseException, match="only ever added to"):
            await connection.execute(statement)

    assert (await verify(url, {})).events == 3


CHANGES = {
    "another address": ("UPDATE audit_events SET address = '198.51.100.1' WHERE number = 2", 2, "it was changed"),
    "another time": (
        "UPDATE audit_events SET at = at + interval '1us' WHERE number = 2",
        2,
        "it was changed",
    ),
    "other details": ("UPDATE audit_events SET details = '{}' WHERE number = 2", 2, "it was changed"),
    "another kind": ("UPDATE audit_events SET kind = 'FILE_DELETED' WHERE number = 1", 1, "it was changed"),
    "another hash": ("UPDATE audit_events SET hash = sha256('x') WHERE number = 2", 2, "it was changed"),
    "one left out": ("DELETE FROM audit_events WHERE number = 2", 2, "it is missing"),
    "the first left out": ("DELETE FROM audit_events WHERE number = 1", 1, "it is missing"),
    "the last left out": ("DELETE FROM audit_events WHERE number = 4", 4, "the chain ends with 3, and should with 4"),
    "all left out": ("DELETE FROM audit_events", 1, "the chain ends with 0, and should with 4"),
    "no note of the end": ("DELETE FROM audit_chains", 1, "there is no note of this chain"),
    "one of another user": (f"UPDATE audit_events SET owner = '{EVE}' WHERE number = 4", 4, ""),
}


@pytest.mark.parametrize(("statement", "number", "what"), CHANGES.values(), ids=CHANGES)
async def test_what_was_tampered_with_is_named(
    database: Database, url: str, tamper: Callable[..., None], statement: str, number: int, what: str
) -> None:
    await noted(database, ADA, 4)
    tamper(statement)

    found = await verify(url, {})

    owner, first, why = told(found)[0]
    assert (owner, first) == (ADA, number)
    assert why.startswith(what)
    assert ADA not in found.ends


async def test_one_that_was_changed_and_hashed_anew_breaks_the_next(
    database: Database, url: str, tamper: Callable[..., None]
) -> None:
    await noted(database, ADA, 3)
    async with database.connection() as connection:
        second = [entry async for entry in store.entries(connection)][1].event
    forged = type(second)(**{**vars(second), "address": "198.51.100.1"})
    tamper(
        f"UPDATE audit_events SET address = '198.51.100.1', hash = '\\x{forged.digest().hex()}' WHERE number = 2",
    )

    assert told(await verify(url, {})) == [(ADA, 3, "it does not follow from the one before")]


async def ends(url: str) -> Ends:
    return (await verify(url, {})).ends


CUTS = {
    "the end, with its note": (
        "DELETE FROM audit_events WHERE number = 3",
        "UPDATE audit_chains c SET length = 2, head = hash FROM audit_events e WHERE e.owner = c.owner AND number = 2",
    ),
    "the whole chain": ("DELETE FROM audit_events", "DELETE FROM audit_chains"),
}


@pytest.mark.parametrize("statements", CUTS.values(), ids=CUTS)
async def test_what_is_cut_off_at_the_end_only_the_checkpoint_shows(
    database: Database, url: str, tamper: Callable[..., None], statements: tuple[str, ...]
) -> None:
    await noted(database, ADA, 3)
    before = await ends(url)
    tamper(*statements)

    assert told(await verify(url, {})) == []
    assert [fault.owner for fault in (await verify(url, before)).faults] == [ADA]


async def test_a_chain_that_was_made_anew_the_checkpoint_shows(
    database: Database, url: str, tamper: Callable[..., None]
) -> None:
    await noted(database, ADA, 3)
    before = await ends(url)
    tamper("DELETE FROM audit_events", "DELETE FROM audit_chains")
    await noted(database, ADA, 5)

    assert told(await verify(url, {})) == []
    assert [(owner, number) for owner, number, _ in told(await verify(url, before))] == [(ADA, 3)]


async def test_a_chain_goes_on_after_a_checkpoint(database: Database, url: str) -> None:
    await noted(database, ADA, 3)
    before = await ends(url)
    await noted(database, ADA, 2)

    assert told(await verify(url, before)) == []


async def test_the_deletion_of_an_account_takes_its_events_alone_and_says_so(database: Database, url: str) -> None:
    await noted(database, ADA, 3)
    await noted(database, EVE, 2)
    before = await ends(url)
    async with database.connection() as connection:
        await store.erase(connection, ADA)
    await noted(database, ADA, 1)

    found = await verify(url, before)

    assert (found.events, told(found), found.erased) == (3, [], [ADA])
    assert found.ends[ADA].length == 4
    assert (await verify(url, found.ends)).erased == []


async def test_erasing_is_for_its_own_transaction_only(database: Database, url: str) -> None:
    await noted(database, ADA, 1)
    async with database.connection() as connection:
        await store.erase(connection, EVE)
        with pytest.raises(psycopg.errors.RaiseException):
            await connection.execute("DELETE FROM audit_events")

    assert (await verify(url, {})).events == 1


async def test_a_user_reads_their_own_events_newest_first_in_pages(database: Database) -> None:
    await noted(database, EVE, 1)
    await noted(database, ADA, 5)
    log = AuditLog("storage", database)

    first = (await log.read(ADA, audit_pb2.ReadAuditLogRequest(limit=3))).events
    before = first[-1].name.rpartition("/")[2]
    rest = (await log.read(ADA, audit_pb2.ReadAuditLogRequest(limit=3, before=before))).events

    assert [event.number for event in [*first, *rest]] == [5, 4, 3, 2, 1]
    assert first[0].previous_hash == first[1].hash
    assert rest[-1].previous_hash == "0" * 64


async def test_a_kind_of_a_newer_platform_is_no_error(database: Database) -> None:
    async with database.connection() as connection:
        await store.record(connection, "SOMETHING_NEW", ADA)  # type: ignore[arg-type]

    answer = await AuditLog("auth", database).read(ADA, audit_pb2.ReadAuditLogRequest(limit=1))

    assert answer.events[0].kind == audit_pb2.AuditEvent.KIND_UNSPECIFIED


def test_the_contract_and_the_code_have_the_same_kinds() -> None:
    assert ["KIND_UNSPECIFIED", *Kind] == list(audit_pb2.AuditEvent.Kind.keys())


@pytest.fixture
async def mesh(new_database: Callable[[], str]) -> dict[str, str]:
    """The environment of a mesh with databases of its own, each with an event of Ada."""
    environment = {}
    for service in ("auth", "user", "storage", "voice"):
        url = new_database()
        async with open_database(url, files(f"services.{service}") / "migrations") as database:
            await noted(database, ADA, 2)
        environment[f"VOICEMESH_{service.upper()}_DATABASE_URL"] = url
    return environment


async def test_the_command_verifies_all_services_and_names_what_is_wrong(
    mesh: dict[str, str], postgres: embedded.Postgres, tmp_path: Path
) -> None:
    environment = {**mesh, "VOICEMESH_STATE": str(tmp_path)}

    def command() -> tuple[int, str]:
        result = CliRunner().invoke(app, ["audit", "verify"], env=environment)
        return result.exit_code, result.output

    whole = await asyncio.to_thread(command)
    name = psycopg.conninfo.conninfo_to_dict(mesh["VOICEMESH_STORAGE_DATABASE_URL"])["dbname"]
    with psycopg.connect(postgres.url(name, "postgres")) as connection:
        connection.execute("ALTER TABLE audit_events DISABLE TRIGGER ALL")
        connection.execute("UPDATE audit_events SET address = '198.51.100.1' WHERE number = 2")
    checkpoint = state.at(tmp_path).checkpoint.read_text()
    broken = await asyncio.to_thread(command)

    assert whole[0] == 0
    assert "voice: 2 events, 1 whole chains\n" in whole[1]
    assert broken[0] == 1
    assert f"  users/{ADA}, event 2 (" in broken[1]
    assert "it was changed" in broken[1]
    assert state.at(tmp_path).checkpoint.read_text() == checkpoint


def test_the_command_says_plainly_that_there_is_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["audit", "verify", "--state", str(tmp_path)])

    assert (result.exit_code, result.stderr) == (1, f"voicemesh: there is no database in {tmp_path}\n")


def test_the_command_refuses_what_is_no_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "letter"
    file.write_text(names.new_id())
    result = CliRunner().invoke(app, ["audit", "verify", "--state", str(tmp_path), "--checkpoint", str(file)])

    assert result.exit_code == 1
    assert "is no checkpoint" in result.stderr
