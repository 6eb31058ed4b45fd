"""Usage over real mTLS gRPC: exact, whatever was deleted since."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import grpc
import psycopg
import pytest
from voicemesh.storage.v1 import storage_pb2

from services.mesh.status import reason
from tests.peers import Metadata
from tests.storage.calls import somebody, upload
from tests.storage.sounds import wav


async def used(stub, owner: Metadata, days: int = 30) -> storage_pb2.SummarizeUsageResponse:
    return await stub.SummarizeUsage(storage_pb2.SummarizeUsageRequest(days=days), metadata=owner)


def by_day(usage: storage_pb2.SummarizeUsageResponse) -> dict[date, int]:
    return {date(day.date.year, day.date.month, day.date.day): day.uploaded_bytes for day in usage.days}


async def move(database: str, file: storage_pb2.File, when: datetime) -> None:
    """Makes an upload have happened at another time."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute(
            "UPDATE uploads SET created_at = %s WHERE file = %s", [when, file.name.removeprefix("files/")]
        )


async def test_nobody_who_stored_nothing_has_usage(as_user) -> None:
    assert await used(as_user, somebody()) == storage_pb2.SummarizeUsageResponse()


async def test_deleting_changes_what_is_stored_but_not_what_was_uploaded(storage, as_user) -> None:
    owner, sizes = somebody(), []
    for seconds in (1.0, 2.0, 3.0):
        file = await upload(storage, owner, wav(seconds))
        sizes.append(file.size_bytes)
    await storage.DeleteFile(storage_pb2.DeleteFileRequest(name=file.name), metadata=owner)

    usage = await used(as_user, owner)

    assert usage.stored_files == 2
    assert usage.stored_bytes == sizes[0] + sizes[1]
    assert sum(by_day(usage).values()) == sum(sizes)


async def test_days_are_those_of_utc_newest_first_and_end_where_asked(storage, as_user, database: str) -> None:
    owner = somebody()
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    moments = [
        today,
        today - timedelta(microseconds=1),
        today - timedelta(days=1),
        today - timedelta(days=2),
        today - timedelta(days=2, microseconds=1),
    ]
    for moment in moments:
        await move(database, await upload(storage, owner, wav()), moment)

    three = by_day(await used(as_user, owner, days=3))

    size = len(wav())
    assert list(three.items()) == [
        (today.date(), size),
        (today.date() - timedelta(days=1), 2 * size),
        (today.date() - timedelta(days=2), size),
    ]


async def test_speech_is_stored_but_was_not_uploaded(as_worker, as_user) -> None:
    owner = somebody()
    await upload(as_worker, owner, wav(), purpose=storage_pb2.File.Purpose.SPEECH)

    usage = await used(as_user, owner)

    assert usage.stored_files == 1
    assert usage.stored_bytes == len(wav())
    assert not usage.days


async def test_a_refused_upload_is_not_counted(storage, as_user) -> None:
    owner = somebody()
    with pytest.raises(grpc.aio.AioRpcError):
        await upload(storage, owner, b"no audio" * 100)

    assert await used(as_user, owner) == storage_pb2.SummarizeUsageResponse()


@pytest.mark.parametrize("days", [0, 367])
async def test_the_number_of_days_is_bounded(as_user, days: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await used(as_user, somebody(), days)

    assert reason(raised.value) == "INVALID_FIELDS"
