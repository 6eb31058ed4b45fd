"""Refinements over real mTLS gRPC, PostgreSQL, storage and workers; with an engine without models."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import psycopg
import pytest
from voicemesh.storage.v1 import storage_pb2
from voicemesh.voice.v1 import voice_pb2

from services.mesh.status import reason
from services.voice import engine_process, refinements
from services.voice.engine.port import Depth, Refines
from services.voice.refinements import Wish
from tests.peers import Metadata
from tests.voice import fake_engine
from tests.voice.conftest import SAMPLE, Platform, new_voice, opened

State = voice_pb2.Refinement.State
HowDeep = voice_pb2.Refinement.Depth


@pytest.fixture(scope="module")
async def fake(
    new_database: Callable[[], str], certificates: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    """A platform whose engine takes the transcripts for orders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_process, "main", fake_engine.main)
        async with opened(new_database, certificates, tmp_path_factory.mktemp("objects")) as found:
            yield found


async def create(
    fake: Platform, who: Metadata, *orders: str, depth: HowDeep.ValueType = HowDeep.DEPTH_UNSPECIFIED
) -> voice_pb2.Voice:
    """A new voice of one recording, with an order for its refinement."""
    request = new_voice(await fake.upload(who, SAMPLE.read_bytes()))
    request.voice.transcripts.extend(orders)
    request.voice.refinement_depth = depth
    created: voice_pb2.Voice = await fake.voices.CreateVoice(request, metadata=who)
    return created


async def watched(
    fake: Platform,
    who: Metadata,
    name: str,
    until: Callable[[voice_pb2.Voice], bool] = lambda voice: False,
) -> list[voice_pb2.Voice]:
    """All that a watch that includes the refinement sends, or up to what is looked for."""
    request = voice_pb2.WatchVoiceRequest(name=name, include_refinement=True)
    seen = []
    async for event in fake.voices.WatchVoice(request, metadata=who, timeout=60):
        if event.HasField("voice"):
            seen.append(event.voice)
            if until(event.voice):
                break
    return seen


def processing(voice: voice_pb2.Voice) -> bool:
    return bool(voice.refinement.state == State.PROCESSING and voice.refinement.progress_percent)


async def artefacts(fake: Platform, name: str) -> list[tuple[str, bytes]]:
    """Level and content of all that was learned of a voice, in order."""
    url = fake.settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "SELECT level, content FROM artefacts WHERE voice = %s ORDER BY version", [name.removeprefix("voices/")]
        )
        return await cursor.fetchall()


async def test_a_voice_is_ready_at_once_and_better_later(fake: Platform, ada: Metadata) -> None:
    async with fake.worker():
        created = await create(fake, ada, "nearer 0.2")
        until_ready = await fake.until_final(ada, created.name)
        seen = await watched(fake, ada, created.name)
    last = seen[-1]

    assert not created.HasField("refinement")
    assert until_ready[-1].voice.state == voice_pb2.Voice.READY
    assert until_ready[-1].voice.level == voice_pb2.Voice.INSTANT
    assert until_ready[-1].voice.refinement.state == State.PENDING
    assert {voice.state for voice in seen} == {voice_pb2.Voice.READY}
    assert last.refinement.state == State.READY
    assert last.refinement.depth == HowDeep.STANDARD
    assert (last.refinement.score_before, last.refinement.score_after) == (0.5, 0.7)
    assert last.refinement.kept
    assert last.refinement.HasField("ready_time")
    assert last.level == voice_pb2.Voice.STUDIO
    assert last.etag == created.etag
    assert not last.transcripts


async def test_it_stands_back_and_goes_as_deep_as_was_asked(fake: Platform, ada: Metadata) -> None:
    async with fake.worker():
        created = await create(fake, ada, "nearer 0.2", depth=HowDeep.HIGH)
        last = (await watched(fake, ada, created.name))[-1]
    instant, studio = await artefacts(fake, created.name)
    niceness = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)

    assert created.refinement_depth == last.refinement_depth == last.refinement.depth == HowDeep.HIGH
    assert instant == ("INSTANT", SAMPLE.read_bytes())
    assert studio == ("STUDIO", f"HIGH {niceness} ".encode() + SAMPLE.read_bytes())


async def test_what_is_not_nearer_is_not_kept(fake: Platform, ada: Metadata) -> None:
    async with fake.worker():
        created = await create(fake, ada, "nearer -0.1")
        last = (await watched(fake, ada, created.name))[-1]

    assert last.refinement.state == State.READY
    assert not last.refinement.kept
    assert last.level == voice_pb2.Voice.INSTANT
    assert [level for level, _ in await artefacts(fake, created.name)] == ["INSTANT"]


async def test_without_words_it_is_not_begun_unless_it_is_asked_for(fake: Platform, ada: Metadata) -> None:
    async with fake.worker():
        unasked = (await watched(fake, ada, (await create(fake, ada)).name))[-1]
        refused = (await watched(fake, ada, (await create(fake, ada, "nearer 0.1", depth=HowDeep.NONE)).name))[-1]
        asked = (await watched(fake, ada, (await create(fake, ada, depth=HowDeep.STANDARD)).name))[-1]

    assert not unasked.HasField("refinement")
    assert not refused.HasField("refinement")
    assert asked.refinement.state == State.FAILED
    assert asked.refinement.failure.reason == "REFINEMENT_UNAVAILABLE"
    assert asked.state == voice_pb2.Voice.READY
    assert asked.level == voice_pb2.Voice.INSTANT
    assert not asked.HasField("failure")


async def test_what_cannot_be_done_says_why_and_may_be_asked_for_again(fake: Platform, ada: Metadata) -> None:
    async with fake.worker():
        created = await create(fake, ada, "unclear")
        failed = (await watched(fake, ada, created.name))[-1]
        again = await fake.voices.RefineVoice(
            voice_pb2.RefineVoiceRequest(name=created.name, transcripts=["nearer 0.3"]), metadata=ada
        )
        last = (await watched(fake, ada, created.name))[-1]

    assert failed.refinement.failure.reason == "TRANSCRIPT_UNCLEAR"
    assert again.refinement.state == State.PENDING
    assert not again.refinement.HasField("failure")
    assert last.refinement.score_after == pytest.approx(0.8)
    assert last.level == voice_pb2.Voice.STUDIO


async def test_refining_again_begins_at_the_instant_voice_and_keeps_only_what_is_best(
    fake: Platform, ada: Metadata
) -> None:
    async with fake.worker():
        created = await create(fake, ada, "nearer 0.2")
        kept = [(await watched(fake, ada, created.name))[-1].refinement.kept]
        for order, depth in (("nearer 0.1", HowDeep.STANDARD), ("nearer 0.3", HowDeep.HIGH)):
            request = voice_pb2.RefineVoiceRequest(name=created.name, depth=depth, transcripts=[order])
            await fake.voices.RefineVoice(request, metadata=ada)
            kept.append((await watched(fake, ada, created.name))[-1].refinement.kept)
    found = await artefacts(fake, created.name)

    assert kept == [True, False, True]
    assert [level for level, _ in found] == ["INSTANT", "STUDIO", "STUDIO"]
    assert all(content.endswith(b" " + SAMPLE.read_bytes()) for _, content in found[1:])
    assert [content.split()[0] for _, content in found[1:]] == [b"STANDARD", b"HIGH"]


async def test_an_engine_that_dies_is_tried_again(fake: Platform, ada: Metadata, tmp_path: Path) -> None:
    async with fake.worker():
        created = await create(fake, ada, f"once {tmp_path / 'died'}")
        last = (await watched(fake, ada, created.name))[-1]

    assert (tmp_path / "died").exists()
    assert last.refinement.state == State.READY
    assert last.level == voice_pb2.Voice.STUDIO


async def test_a_worker_that_stops_leaves_it_to_the_next(fake: Platform, ada: Metadata, tmp_path: Path) -> None:
    async with fake.worker():
        created = await create(fake, ada, f"until {tmp_path / 'go'}")
        await watched(fake, ada, created.name, processing)
    left = await fake.voices.GetVoice(voice_pb2.GetVoiceRequest(name=created.name), metadata=ada)
    (tmp_path / "go").touch()
    async with fake.worker():
        last = (await watched(fake, ada, created.name))[-1]

    assert left.state == voice_pb2.Voice.READY
    assert left.refinement.state == State.PROCESSING
    assert last.refinement.state == State.READY


async def test_learning_goes_on_beside_it(fake: Platform, ada: Metadata, tmp_path: Path) -> None:
    async with fake.worker():
        first = await create(fake, ada, f"until {tmp_path / 'go'}")
        await watched(fake, ada, first.name, processing)
        second = await create(fake, ada, depth=HowDeep.NONE)
        ready = (await fake.until_final(ada, second.name))[-1].voice
        (tmp_path / "go").touch()
        await watched(fake, ada, first.name)

    assert ready.state == voice_pb2.Voice.READY


async def test_stopping_it_leaves_the_voice_and_the_next_is_taken_up(
    fake: Platform, ada: Metadata, tmp_path: Path
) -> None:
    cancel = voice_pb2.CancelRefinementRequest
    async with fake.worker():
        created = await create(fake, ada, f"until {tmp_path / 'never'}")
        await watched(fake, ada, created.name, processing)
        stopped = await fake.voices.CancelRefinement(cancel(name=created.name), metadata=ada)
        again = await fake.voices.CancelRefinement(cancel(name=created.name), metadata=ada)
        last = (await watched(fake, ada, created.name))[-1]
        other = await create(fake, ada, "nearer 0.2")
        following = (await watched(fake, ada, other.name))[-1]
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await fake.voices.CancelRefinement(cancel(name=other.name), metadata=ada)
        plain = await create(fake, ada, depth=HowDeep.NONE)
        with pytest.raises(grpc.aio.AioRpcError) as none:
            await fake.voices.CancelRefinement(cancel(name=plain.name), metadata=ada)

    assert stopped.refinement.state == again.refinement.state == last.refinement.state == State.CANCELLED
    assert last.state == voice_pb2.Voice.READY
    assert last.level == voice_pb2.Voice.INSTANT
    assert following.level == voice_pb2.Voice.STUDIO
    assert reason(ended.value) == reason(none.value) == "NOT_CANCELLABLE"


async def test_deleting_the_voice_ends_it(fake: Platform, ada: Metadata, tmp_path: Path) -> None:
    request = voice_pb2.WatchVoiceRequest(include_refinement=True)
    async with fake.worker():
        created = await create(fake, ada, f"until {tmp_path / 'never'}")
        request.name = created.name
        events = []
        async for event in fake.voices.WatchVoice(request, metadata=ada, timeout=60):
            if not events and processing(event.voice):
                await fake.voices.DeleteVoice(voice_pb2.DeleteVoiceRequest(name=created.name), metadata=ada)
                events.append(event)
            last = event
        other = await create(fake, ada, "nearer 0.2")
        following = (await watched(fake, ada, other.name))[-1]

    assert reason(last.error) == "VOICE_NOT_FOUND"
    assert await artefacts(fake, created.name) == []
    assert following.level == voice_pb2.Voice.STUDIO


async def test_a_recording_that_is_gone(fake: Platform, ada: Metadata) -> None:
    created = await create(fake, ada, "nearer 0.2")
    async with fake.worker():
        ready = (await fake.until_final(ada, created.name))[-1].voice
        await watched(fake, ada, created.name)
        await fake.files.DeleteFile(storage_pb2.DeleteFileRequest(name=ready.recordings[0]), metadata=ada)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await fake.voices.RefineVoice(voice_pb2.RefineVoiceRequest(name=created.name), metadata=ada)

    assert raised.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert reason(raised.value) == "RECORDING_GONE"


async def test_what_cannot_be_refined_is_refused(fake: Platform, ada: Metadata, tmp_path: Path) -> None:
    async def refused(name: str, *transcripts: str, depth: int = 0) -> str:
        request = voice_pb2.RefineVoiceRequest(name=name, transcripts=transcripts)
        request.depth = depth  # type: ignore[assignment]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await fake.voices.RefineVoice(request, metadata=ada)
        return reason(raised.value)

    created = await create(fake, ada, f"until {tmp_path / 'go'}")
    before = await refused(created.name)
    async with fake.worker():
        await watched(fake, ada, created.name, processing)
        during = await refused(created.name)
        (tmp_path / "go").touch()
        await watched(fake, ada, created.name)
        after = [
            await refused(created.name, "one", "too many"),
            await refused(created.name, "x" * 10_001),
            await refused(created.name, depth=HowDeep.NONE),
            await refused(created.name, depth=9),
        ]

    assert (before, during) == ("VOICE_NOT_READY", "REFINEMENT_UNDER_WAY")
    assert after == ["INVALID_FIELDS"] * 4


async def test_of_two_that_ask_at_once_one_is_told(fake: Platform, ada: Metadata) -> None:
    async with fake.worker():
        created = await create(fake, ada, "nearer 0.1", depth=HowDeep.NONE)
        await fake.until_final(ada, created.name)
    request = voice_pb2.RefineVoiceRequest(name=created.name)

    answers = await asyncio.gather(
        *(fake.voices.RefineVoice(request, metadata=ada) for _ in range(4)), return_exceptions=True
    )

    refused = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert [reason(each) for each in refused] == ["REFINEMENT_UNDER_WAY"] * 3


@pytest.mark.parametrize(
    "transcripts", [["x" * 10_001], ["one", "more than there are recordings"], ["nul\0"]], ids=["long", "many", "nul"]
)
async def test_transcripts_are_bounded(fake: Platform, ada: Metadata, transcripts: list[str]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await create(fake, ada, *transcripts)

    assert reason(raised.value) == "INVALID_FIELDS"


@pytest.mark.parametrize("method", ["RefineVoice", "CancelRefinement"])
async def test_another_users_voice_is_not_refined(fake: Platform, ada: Metadata, eve: Metadata, method: str) -> None:
    created = await create(fake, ada, "nearer 0.1")

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await getattr(fake.voices, method)(getattr(voice_pb2, f"{method}Request")(name=created.name), metadata=eve)

    assert reason(raised.value) == "VOICE_NOT_FOUND"


async def test_learning_again_stops_it_and_refines_what_was_learned_anew(
    fake: Platform, ada: Metadata, tmp_path: Path
) -> None:
    async with fake.worker():
        created = await create(fake, ada, f"until {tmp_path / 'go'}")
        await watched(fake, ada, created.name, processing)
        await outdate(fake, created.name)
        retried = await fake.voices.RetryVoice(voice_pb2.RetryVoiceRequest(name=created.name), metadata=ada)
        (tmp_path / "go").touch()
        last = (await watched(fake, ada, created.name))[-1]

    assert retried.state == voice_pb2.Voice.PENDING
    assert retried.refinement.state == State.CANCELLED
    assert last.level == voice_pb2.Voice.STUDIO
    assert [level for level, _ in await artefacts(fake, created.name)] == ["INSTANT", "INSTANT", "STUDIO"]


async def outdate(fake: Platform, name: str) -> None:
    """Makes a voice one that other models have learned."""
    url = fake.settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(
            "UPDATE artefacts SET model_hash = %s WHERE voice = %s", ["1" * 64, name.removeprefix("voices/")]
        )


@pytest.mark.parametrize(
    ("wish", "refines", "worded", "depth"),
    [
        (None, Refines.ALWAYS, False, Depth.STANDARD),
        (None, Refines.GIVEN_WORDS, True, Depth.STANDARD),
        (None, Refines.GIVEN_WORDS, False, None),
        (None, Refines.NEVER, True, None),
        (Wish.NONE, Refines.ALWAYS, True, None),
        (Wish.HIGH, Refines.NEVER, False, Depth.HIGH),
    ],
)
def test_what_is_chosen(wish: Wish | None, refines: Refines, worded: bool, depth: Depth | None) -> None:
    assert refinements.chosen(wish, Wish.STANDARD, refines, worded=worded) is depth
    if wish is None:
        assert refinements.chosen(wish, Wish.NONE, refines, worded=worded) is None
