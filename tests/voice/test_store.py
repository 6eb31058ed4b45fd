"""Runs, attempts and consents, straight at the store: what a worker that was given up for dead may still change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet
from psycopg.rows import tuple_row

from services.mesh import names
from services.mesh.postgres import Database, migrate, open_database
from services.voice import queue, receipts
from services.voice.consents import Given
from services.voice.engine.port import Depth, Language, Markup, Tier, Word
from services.voice.forms import AudioForm
from services.voice.jobs import Failure, Request, State
from services.voice.queue import Queue
from services.voice.receipts import Receipt
from services.voice.refinements import Refined
from services.voice.settings import Settings
from services.voice.speeches import Artefact, NewSpeech, Spoken
from services.voice.store import Store
from services.voice.voices import NewVoice
from services.voice.worker import rescue

OWNER = names.new_id()
WORDS = (Word(0, 3, 0.0, 0.25), Word(4, 9, 0.3, 1.4))
ORIGIN = receipts.origin(names.new_id(), "engine", "hash")


def spoken() -> Spoken:
    receipt = Receipt(names.new_id(), "ab" * 32, 10, "audio/wav", ORIGIN, datetime.now(UTC))
    return Spoken("files/x", 1.5, 5, "engine", "hash", "STUDIO", WORDS, receipt, f"token of {receipt.id}")


@pytest.fixture(scope="module")
async def database(new_database: Callable[[], str]) -> AsyncIterator[Database]:
    async with open_database(new_database(), files("services.voice") / "migrations", also=queue.install) as opened:
        yield opened


@pytest.fixture(scope="module")
def store(database: Database) -> Store:
    return Store(database, Queue(database.url))


async def new_speech(store: Store) -> str:
    form = AudioForm("wav", 24000, 1.0, Tier.NATURAL)
    speech = await store.speeches.insert(
        NewSpeech(OWNER, names.new_id(), "Hello", Markup.PLAIN, Language("en-US"), form, Request("", b""))
    )
    return speech.id


async def new_voice(store: Store) -> str:
    new = NewVoice(OWNER, "Ada", "", ("files/x",), Given("yes", "Ada"), Request("", b""), digests=("00" * 32,))
    return (await store.voices.insert(new)).id


async def ledger(database: Database, work: str) -> list[tuple[object, ...]]:
    async with database.connection() as connection:
        cursor = connection.cursor(row_factory=tuple_row)
        await cursor.execute("SELECT characters, audio_seconds FROM usage_ledger WHERE work = %s", [work])
        return await cursor.fetchall()


async def test_only_the_last_run_of_a_job_may_write(store: Store, database: Database) -> None:
    id = await new_speech(store)
    stale = await store.speeches.begin(id, 1)
    live = await store.speeches.begin(id, 1)

    await store.speeches.progress(id, stale.run, "speaking", 50)
    await store.speeches.fail(id, stale.run, Failure("X", "x"))
    of_stale = await store.speeches.spoken(id, stale.run, spoken())
    before = await store.speeches.get(OWNER, id)
    of_live = await store.speeches.spoken(id, live.run, spoken())
    again = await store.speeches.spoken(id, live.run, spoken())
    after = await store.speeches.get(OWNER, id)

    assert (of_stale, of_live, again) == (False, True, False)
    assert (before.state, before.progress_percent) == (State.PROCESSING, 0)
    assert (after.state, after.audio) == (State.READY, "files/x")
    assert await store.speeches.wants(id, 1)
    assert await ledger(database, id) == [(5, 1.5)]


async def test_a_cancelled_or_deleted_speech_wants_no_audio(store: Store, database: Database) -> None:
    cancelled, deleted = await new_speech(store), await new_speech(store)
    runs = [(await store.speeches.begin(id, 1)).run for id in (cancelled, deleted)]
    await store.speeches.cancel(OWNER, cancelled)
    await store.speeches.delete(OWNER, deleted)

    for id, run in zip((cancelled, deleted), runs, strict=True):
        assert not await store.speeches.spoken(id, run, spoken())
        assert not await store.speeches.wants(id, 1)
        assert await ledger(database, id) == []


async def test_a_job_of_an_earlier_attempt_does_not_begin(store: Store) -> None:
    id = await new_voice(store)
    await store.voices.cancel(OWNER, id)
    await store.voices.retry(OWNER, id, [State.CANCELLED])

    assert await store.voices.begin(id, 1) is None
    assert (await store.voices.begin(id, 2)).state is State.PROCESSING


async def test_deleting_a_finished_speech_leaves_the_removal_of_its_audio_to_a_job(
    store: Store, database: Database
) -> None:
    id = await new_speech(store)
    run = (await store.speeches.begin(id, 1)).run
    await store.speeches.spoken(id, run, replace(spoken(), audio=f"files/{id}"))

    await store.speeches.delete(OWNER, id)

    async with database.connection() as connection:
        cursor = await connection.execute("SELECT args FROM procrastinate_jobs WHERE queue_name = 'files'")
        assert ({"owner": OWNER, "name": f"files/{id}"},) in await cursor.fetchall()


async def test_artefacts_are_numbered_and_the_newest_speaks(store: Store) -> None:
    id = await new_voice(store)
    for number, content in enumerate((b"first", b"second"), 1):
        run = (await store.voices.begin(id, number)).run
        assert await store.voices.learned(id, run, Artefact(id, content, "e", str(number)), "INSTANT", {})
        if number == 1:
            await store.voices.retry(OWNER, id, [State.READY])

    assert (await store.voices.artefact(OWNER, id)).content == b"second"
    assert await store.voices.artefact(names.new_id(), id) is None


async def test_a_consent_cannot_be_changed_and_outlives_its_voice(store: Store, database: Database) -> None:
    id = await new_voice(store)
    with pytest.raises(psycopg.errors.RaiseException):
        async with database.connection() as connection:
            await connection.execute("UPDATE consents SET statement = 'no' WHERE voice = %s", [id])
    await store.voices.delete(OWNER, id)

    async with database.connection() as connection:
        cursor = await connection.execute("SELECT owner::text, statement FROM consents WHERE voice = %s", [id])
        assert await cursor.fetchall() == [(OWNER, "yes")]


async def refining(store: Store) -> str:
    """A voice that was learned and is to be refined."""
    id = await new_voice(store)
    run = (await store.voices.begin(id, 1)).run
    await store.voices.learned(id, run, Artefact(id, b"instant", "e", "h"), "INSTANT", {}, Depth.STANDARD)
    return id


async def test_only_the_last_run_of_a_refinement_may_write(store: Store) -> None:
    id = await refining(store)
    stale = await store.refinements.begin(id, 1)
    live = await store.refinements.begin(id, 1)
    result = Refined(b"studio", True, 0.5, 0.7, "e", "h")

    await store.refinements.progress(id, stale.run, "fitting", 50)
    await store.refinements.fail(id, stale.run, Failure("X", "x"))
    of_stale = await store.refinements.refined(id, stale.run, result)
    before = await store.voices.get(OWNER, id)
    of_live = await store.refinements.refined(id, live.run, result)
    again = await store.refinements.refined(id, live.run, result)
    after = await store.voices.get(OWNER, id)

    assert (of_stale, of_live, again) == (False, True, False)
    assert (before.refinement.state, before.refinement.progress_percent) == (State.PROCESSING, 0)
    assert (before.level, after.level) == ("INSTANT", "STUDIO")
    assert after.refinement.state is State.READY
    assert (await store.voices.artefact(OWNER, id)).content == b"studio"


async def test_nobody_wants_a_refinement_that_was_stopped_or_whose_voice_is_gone(store: Store) -> None:
    result = Refined(b"studio", True, 0.5, 0.7, "e", "h")
    stopped, retried, deleted = [await refining(store) for _ in range(3)]
    runs = {id: (await store.refinements.begin(id, 1)).run for id in (stopped, retried, deleted)}
    await store.refinements.stop(OWNER, stopped)
    await store.voices.retry(OWNER, retried, [State.READY])
    await store.voices.delete(OWNER, deleted)

    for id, run in runs.items():
        assert not await store.refinements.refined(id, run, result)
        assert await store.refinements.begin(id, 1) is None
    assert (await store.voices.artefact(OWNER, stopped)).content == b"instant"


async def test_the_jobs_of_a_voice_end_with_it(store: Store, database: Database) -> None:
    id = await refining(store)

    await store.voices.delete(OWNER, id)

    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT status::text FROM procrastinate_jobs WHERE queue_name = 'refinements' AND args->>'id' = %s", [id]
        )
        assert await cursor.fetchall() == [("cancelled",)]


async def test_a_refinement_that_no_worker_survives_fails_and_leaves_the_voice(
    store: Store, database: Database
) -> None:
    id = await refining(store)
    await store.refinements.begin(id, 1)

    await abandoned(store, database, id, attempts=5, task="refinements")

    voice = await store.voices.get(OWNER, id)
    assert voice.state is State.READY
    assert voice.refinement.state is State.FAILED
    assert voice.refinement.failure.reason == "INTERNAL"


async def abandoned(store: Store, database: Database, id: str, *, attempts: int, task: str) -> None:
    """As if so many workers had died of the job, and another looks after what they left."""
    tasks = Queue(database.url)
    settings = Settings(
        tls=Path(),
        database_url=database.url,
        storage_address="nowhere:1",
        page_token_key=Fernet.generate_key().decode(),
    )
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE procrastinate_jobs SET status = 'doing', attempts = %s WHERE args->>'id' = %s AND queue_name = %s",
            [attempts, id, task],
        )

    async with tasks.app.open_async():
        await rescue(tasks, store, settings)


@pytest.mark.parametrize(("attempts", "state", "status"), [(1, State.PENDING, "todo"), (5, State.FAILED, "failed")])
async def test_a_job_of_dead_workers_is_given_to_another_until_too_many_have_died_of_it(
    store: Store, database: Database, attempts: int, state: State, status: str
) -> None:
    id = await new_voice(store)
    await abandoned(store, database, id, attempts=attempts, task="voices")

    voice = await store.voices.get(OWNER, id)
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT status::text FROM procrastinate_jobs WHERE args->>'id' = %s", [id])
        assert await cursor.fetchall() == [(status,)]
    assert voice.state is state
    assert (voice.failure is not None) == (state is State.FAILED)


async def test_the_librarys_schema_is_installed_whole_and_later_changed(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await psycopg.AsyncConnection.connect(new_database()) as connection:
        await queue.install(connection)
        await queue.install(connection)
        known = queue._changes()
        later = {**known, "99.00.00_01_later.sql": b"CREATE TABLE later ()"}
        monkeypatch.setattr(queue, "_changes", lambda: later)
        await queue.install(connection)
        await queue.install(connection)
        cursor = await connection.execute("SELECT count(*), to_regclass('later')::text FROM procrastinate_migrations")
        found = await cursor.fetchone()

    assert found == (len(known) + 1, "later")


async def test_words_are_kept_with_their_speech_and_go_with_it(store: Store, database: Database) -> None:
    id = await new_speech(store)
    before = await store.speeches.words(OWNER, id)
    run = (await store.speeches.begin(id, 1)).run
    await store.speeches.spoken(id, run, spoken())

    kept, speech = await store.speeches.words(OWNER, id), await store.speeches.get(OWNER, id)
    await store.speeches.delete(OWNER, id)

    assert before is None
    assert kept == list(WORDS)
    assert speech is not None
    assert speech.level == "STUDIO"
    assert await store.speeches.words(OWNER, id) is None


async def test_a_database_from_before_the_tiers_gets_them(new_database: Callable[[], str], tmp_path: Path) -> None:
    url, migrations = new_database(), files("services.voice") / "migrations"
    for file in migrations.iterdir():
        if file.name < "0005" and file.name.endswith(".sql"):
            (tmp_path / file.name).write_bytes(file.read_bytes())

    await migrate(url, tmp_path, also=queue.install)
    await migrate(url, migrations, also=queue.install)

    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("SELECT name FROM schema_migrations ORDER BY applied_at, name")
        applied = [name for (name,) in await cursor.fetchall()]
        cursor = await connection.execute(
            "SELECT column_default FROM information_schema.columns"
            " WHERE (table_name, column_name) = ('speeches', 'tier')"
        )
        default = await cursor.fetchone()
    assert "0005_tiers.sql" in applied
    assert default == ("'NATURAL'::text",)


async def test_a_receipt_is_found_by_its_audio_by_anyone_and_by_its_name_by_its_owner(
    store: Store, database: Database
) -> None:
    id, result = await new_speech(store), spoken()
    digest = names.new_id().replace("-", "") * 2
    result = replace(result, receipt=replace(result.receipt, sha256=digest))
    run = (await store.speeches.begin(id, 1)).run
    before = await store.speeches.get(OWNER, id)
    await store.speeches.spoken(id, run, result)
    after = await store.speeches.get(OWNER, id)
    await store.speeches.delete(OWNER, id)

    assert before is not None
    assert after is not None
    assert (before.receipt, after.receipt) == ("", result.token)
    assert await store.receipts.of_audio(digest) == result.token
    assert await store.receipts.of_audio("00" * 32) is None
    assert await store.receipts.get(OWNER, result.receipt.id) == result.token
    assert await store.receipts.get(names.new_id(), result.receipt.id) is None
