"""Converting at once, with the fake engine in its own process and storage in memory."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import av
import pytest

from services.mesh import errors
from services.voice import conversions
from services.voice.engine.errors import EngineError, RecogniserMissing, TranscriptUnclear
from services.voice.engine.port import Tier
from services.voice.forms import AudioForm
from services.voice.host import EngineHost, open_engine
from services.voice.speeches import Artefact
from services.voice.storage_client import FileGone
from services.voice.voices import Found
from tests.voice import fake_engine

ARTEFACT = Artefact("1", b"", "fake", "0" * 64)
WAV = AudioForm("wav", 24000, 1.0, Tier.NATURAL)


class Shelf:
    """Recordings in memory."""

    def __init__(self, **files: bytes) -> None:
        self._files = {f"files/{id}": content for id, content in files.items()}

    async def look(self, names: Sequence[str]) -> Found:
        """As storage does."""
        missing = next((name for name in names if name not in self._files), None)
        return Found(missing, sum(len(self._files.get(name, b"")) for name in names))

    async def read(self, name: str) -> bytes:
        """As storage does."""
        if name not in self._files:
            raise FileGone(name)
        return self._files[name]


class Emptied(Shelf):
    """Looks full, and is not."""

    async def look(self, names: Sequence[str]) -> Found:
        """There is everything."""
        return Found(None, 0)


class Ledger:
    """Usage in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, int, float]] = {}

    async def spoke(self, work: str, owner: str, voice: str, characters: int, audio_seconds: float) -> None:
        """Keeps the last of each work."""
        self.rows[work] = (owner, characters, audio_seconds)


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[EngineHost]:
    async with open_engine(Path("/"), processes=1, threads=1, waiting=3, serve=fake_engine.main) as host:
        await host.loaded()
        yield host


async def convert(
    engine: EngineHost, shelf: Shelf, ledger: Ledger, *, form: AudioForm = WAV, largest: int = 100
) -> list[conversions.Piece]:
    """Of the recording `files/a`."""
    audio = conversions.convert(
        "ada",
        ARTEFACT,
        "files/a",
        "words",
        form,
        recordings=shelf,
        largest=largest,
        longest_seconds=60.0,
        engine=engine,
        ledger=ledger,
    )
    async with aclosing(audio):
        return [piece async for piece in audio]


async def test_what_the_engine_says_is_encoded_and_its_seconds_are_counted(engine: EngineHost) -> None:
    ledger = Ledger()

    pieces = await convert(engine, Shelf(a=b"\xff\xff"), ledger)

    # The fake engine's sample rate is its process id, so what comes out is counted in seconds.
    seconds = (255 + 255 + len("words") + 60) / engine.info.sample_rate
    with av.open(io.BytesIO(b"".join(piece.data for piece in pieces))) as container:
        decoded = sum(frame.samples for frame in container.decode(audio=0))
    assert pieces[0].content_type == "audio/wav"
    assert decoded == pytest.approx(seconds * 24000, rel=0.02, abs=24)
    assert list(ledger.rows.values()) == [("ada", 0, pytest.approx(seconds))]


@pytest.mark.parametrize("shelf", [Shelf(b=b"1"), Emptied()])
async def test_a_recording_that_is_not_there_or_has_just_gone(engine: EngineHost, shelf: Shelf) -> None:
    with pytest.raises(errors.NotFound) as raised:
        await convert(engine, shelf, Ledger())

    assert raised.value.reason == "RECORDING_NOT_FOUND"


async def test_a_recording_that_is_too_large_is_not_read(engine: EngineHost) -> None:
    with pytest.raises(errors.InvalidArgument) as raised:
        await convert(engine, Shelf(a=b"1" * 101), Ledger())

    assert raised.value.reason == "RECORDINGS_TOO_LARGE"


async def test_a_recording_that_the_engine_refuses_costs_nothing(engine: EngineHost) -> None:
    ledger = Ledger()

    with pytest.raises(errors.InvalidArgument) as raised:
        await convert(engine, Shelf(a=b""), ledger)

    assert raised.value.reason == "SILENT"
    assert raised.value.violations[0].field == "recording"
    assert not ledger.rows


@pytest.mark.parametrize(
    ("error", "refusal"),
    [(TranscriptUnclear(), errors.InvalidArgument), (RecogniserMissing(), errors.FailedPrecondition)],
)
async def test_words_that_are_not_known_are_an_error_of_the_request_or_of_the_installation(
    engine: EngineHost, error: EngineError, refusal: type[errors.MeshError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> AsyncIterator[object]:
        async def chunks() -> AsyncIterator[object]:
            raise error
            yield

        return chunks()

    monkeypatch.setattr(engine, "convert", refuse)

    with pytest.raises(refusal) as raised:
        await convert(engine, Shelf(a=b"1"), Ledger())

    assert raised.value.reason == error.reason
