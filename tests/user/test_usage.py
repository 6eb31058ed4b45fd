"""Usage: what voice and storage have written down, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from pathlib import Path

import grpc
import pytest
from voicemesh.storage.v1 import storage_pb2
from voicemesh.user.v1 import user_pb2, user_pb2_grpc
from voicemesh.voice.v1 import voice_pb2

from services.mesh.status import reason
from services.user import siblings
from services.user.app import open_app
from services.user.settings import Settings
from services.user.usage import Day, merge
from tests.peers import Metadata, served
from tests.user.siblings import Answers, day

Spoken = voice_pb2.SummarizeUsageResponse
Stored = storage_pb2.SummarizeUsageResponse


async def used(stub, who: Metadata, **request: object) -> user_pb2.Usage:
    return await stub.GetUsage(user_pb2.GetUsageRequest(**{"name": "users/me/usage", **request}), metadata=who)


async def refused(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), reason(raised.value)


async def test_usage_is_put_together_by_day(user, ada: Metadata, ada_id: str, answers: Answers) -> None:
    answers.spoken = Spoken(
        voices_by_state={"READY": 2, "FAILED": 1},
        characters=300,
        audio_seconds=20.5,
        days=[
            Spoken.Day(date=day(2026, 3, 2), voices_created=1, characters=100, audio_seconds=7.5),
            Spoken.Day(date=day(2026, 2, 28), characters=50, audio_seconds=3.0),
        ],
    )
    answers.stored = Stored(
        stored_bytes=5000,
        stored_files=3,
        days=[
            Stored.Day(date=day(2026, 3, 2), uploaded_bytes=4000),
            Stored.Day(date=day(2026, 3, 1), uploaded_bytes=9000),
        ],
    )

    usage = await used(user, ada, days=7)

    assert usage == user_pb2.Usage(
        name=f"users/{ada_id}/usage",
        voices_by_state={"READY": 2, "FAILED": 1},
        characters=300,
        audio_seconds=20.5,
        stored_bytes=5000,
        stored_files=3,
        days=[
            user_pb2.DailyUsage(
                date=day(2026, 3, 2), voices_created=1, characters=100, audio_seconds=7.5, uploaded_bytes=4000
            ),
            user_pb2.DailyUsage(date=day(2026, 3, 1), uploaded_bytes=9000),
            user_pb2.DailyUsage(date=day(2026, 2, 28), characters=50, audio_seconds=3.0),
        ],
    )
    assert answers.days == [7, 7]
    assert {(asked.user, asked.peer) for asked in answers.callers} == {(ada_id, "user")}


async def test_thirty_days_are_asked_for_unless_told(user, ada: Metadata, ada_id: str, answers: Answers) -> None:
    await used(user, ada, name=f"users/{ada_id}/usage")

    assert answers.days == [30, 30]


async def test_both_are_asked_at_once(user, ada: Metadata, answers: Answers) -> None:
    answers.together = asyncio.Barrier(2)

    assert (await used(user, ada)).stored_files == 0


@pytest.mark.parametrize("down", ["voice", "storage"])
async def test_a_sibling_that_is_down_makes_usage_unavailable(
    settings: Settings, certificates: dict[str, Path], ada: Metadata, free_port: Callable[[], int], down: str
) -> None:
    alone = settings.model_copy(update={f"{down}_address": f"127.0.0.1:{free_port()}"})
    async with served("user", open_app, alone, certificates) as service, service.channel() as channel:
        refusal = await refused(used(user_pb2_grpc.UserServiceStub(channel), ada))

    assert refusal == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")


@pytest.mark.parametrize("silent", ["voice", "storage"])
async def test_a_sibling_that_never_answers_makes_usage_unavailable(
    user, ada: Metadata, answers: Answers, monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    monkeypatch.setattr(siblings, "SECONDS", 0.2)
    answers.silent.add(silent)

    assert await refused(used(user, ada)) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")


@pytest.mark.parametrize("days", [-1, 367])
async def test_the_number_of_days_is_bounded(user, ada: Metadata, days: int) -> None:
    assert await refused(used(user, ada, days=days)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")


def test_days_without_any_use_are_left_out() -> None:
    first, second = date(2026, 1, 1), date(2026, 1, 2)

    merged = merge([Day(first), Day(second, characters=1)], [Day(first), Day(second, uploaded_bytes=2)])

    assert merged == [Day(second, characters=1, uploaded_bytes=2)]
