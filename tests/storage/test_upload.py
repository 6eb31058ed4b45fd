"""Uploads over real mTLS gRPC: what is taken in, what is refused, and what it is then called."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import psycopg
import pytest
from google.api import httpbody_pb2
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc

from services.mesh import names
from services.mesh.status import reason
from services.storage.app import open_app
from services.storage.settings import Settings
from tests.peers import served
from tests.storage.calls import FORM, blob, blobs, form, messages, part, send, somebody, upload
from tests.storage.sounds import silent_film, sound, wav

Purpose = storage_pb2.File.Purpose


async def refused(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


async def test_a_raw_body_becomes_a_file(storage, root: Path) -> None:
    data = wav()

    file = await upload(storage, somebody(), data, display_name="My take")

    assert file.name.startswith("files/")
    assert file.display_name == "My take"
    assert file.content_type == "audio/wav"
    assert file.size_bytes == len(data)
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert file.purpose == Purpose.RECORDING
    assert file.duration.ToTimedelta().total_seconds() == 1.0
    assert file.create_time.seconds > 1_700_000_000
    assert blob(root, file).read_bytes() == data


@pytest.mark.parametrize("piece", [1, 7, 1024, 64 * 1024])
async def test_a_form_becomes_a_file_however_it_is_cut(storage, root: Path, piece: int) -> None:
    data = sound("ogg", "libopus", seconds=0.2)[:6000]
    body = form(part("note", b"hello"), part("recording", data, "take.ogg"), part("after", b"x"))

    file = await upload(storage, somebody(), body, content_type=FORM, piece=piece)

    assert file.display_name == "take.ogg"
    assert blob(root, file).read_bytes() == data


async def test_a_form_may_name_the_file_and_the_request(storage) -> None:
    owner, request_id = somebody(), names.new_id()
    body = form(
        part("display_name", "Ünser Band".encode()),
        part("request_id", request_id.encode()),
        part("file", wav()),
    )

    first = await upload(storage, owner, body, content_type=FORM)
    again = await upload(storage, owner, wav(), request_id=request_id)

    assert first.display_name == "Ünser Band"
    assert again == first


async def test_the_request_wins_over_the_form(storage) -> None:
    body = form(part("display_name", b"form"), part("file", wav(), "part.wav"))

    file = await upload(storage, somebody(), body, content_type=FORM, display_name="request")

    assert file.display_name == "request"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("C:\\fakepath\\take.wav", "take.wav"),
        ("/", ""),
        ("..", ""),
        ("a\x00b\x07c\x7f.wav", "abc.wav"),
        ("tab\there.wav", "tabhere.wav"),
        ("Stimme – 声.wav", "Stimme – 声.wav"),
        ("e\u0301.wav", "\u00e9.wav"),
        ("exe\u202egpj.wav", "exegpj.wav"),
        ("x" * 300 + ".wav", "x" * 255),
        ("%22quoted%22.wav", '"quoted".wav'),
    ],
)
async def test_names_of_files_are_made_safe(storage, root: Path, sent: str, kept: str) -> None:
    file = await upload(storage, somebody(), form(part("file", wav(), sent)), content_type=FORM)

    assert file.display_name == kept
    assert blob(root, file).exists()


async def test_bytes_that_are_no_text_make_a_name_all_the_same(storage) -> None:
    body = form(part("file", wav(), "NAME")).replace(b"NAME", b"\xff\xfe.wav")

    file = await upload(storage, somebody(), body, content_type=FORM)

    assert file.display_name == "\ufffd\ufffd.wav"


FORMS = {
    "no boundary": (form(part("file", b"x", "a.wav")), "multipart/form-data"),
    "another boundary": (form(part("file", b"x", "a.wav")), "multipart/form-data; boundary=other"),
    "long boundary": (form(part("file", b"x", "a.wav")), f"multipart/form-data; boundary={'b' * 5000}"),
    "cut off in the file": (form(part("file", b"x" * 1000, "a.wav"))[:500], FORM),
    "cut off before the end": (part("file", b"x", "a.wav"), FORM),
    "no file": (form(part("note", b"x")), FORM),
    "two files": (form(part("a", b"x", "a.wav"), part("b", b"y", "b.wav")), FORM),
    "no form at all": (b"RIFF....WAVE", FORM),
    "nothing": (b"", FORM),
    "huge field": (form(part("note", b"x" * 70_000), part("file", b"x", "a.wav")), FORM),
    "huge header": (form(part("n" * 10_000, b"x")), FORM),
    "many empty parts": (form(*[part("", b"")] * 30, part("file", b"x", "a.wav")), FORM),
    "too much after the file": (form(part("file", b"x", "a.wav"), part("note", b"x" * 70_000)), FORM),
    "too much after the last boundary": (form(part("file", b"x", "a.wav")) + bytes(70_000), FORM),
}


@pytest.mark.parametrize("case", FORMS)
async def test_a_bad_form_is_refused(storage, case: str) -> None:
    body, content_type = FORMS[case]

    error = await refused(upload(storage, somebody(), body, content_type=content_type))

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason(error) == "BAD_MULTIPART"


async def test_a_form_with_a_bad_request_id_is_refused(storage) -> None:
    body = form(part("request_id", b"one"), part("file", wav(), "a.wav"))

    error = await refused(upload(storage, somebody(), body, content_type=FORM))

    assert reason(error) == "INVALID_FIELDS"


@pytest.mark.parametrize(("body", "content_type"), [(b"", "audio/wav"), (form(part("file", b"", "a.wav")), FORM)])
async def test_an_empty_file_is_refused(storage, body: bytes, content_type: str) -> None:
    error = await refused(upload(storage, somebody(), body, content_type=content_type))

    assert reason(error) == "FILE_EMPTY"


async def test_an_upload_without_any_message_is_an_empty_file(storage) -> None:
    error = await refused(send(storage, somebody(), lambda: iter(())))

    assert reason(error) == "FILE_EMPTY"


async def test_fields_of_the_request_keep_the_contracts_rules(storage) -> None:
    error = await refused(upload(storage, somebody(), wav(), display_name="a\nb", request_id="no uuid"))

    assert reason(error) == "INVALID_FIELDS"


NOT_AUDIO = {
    "text": b"This is no recording.\n" * 200,
    "png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100,
    "zeros": bytes(50_000),
    "header alone": wav()[:40],
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "concat": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "page": b"<html><audio src=x.wav></audio></html>",
}


@pytest.mark.parametrize("case", NOT_AUDIO)
async def test_what_is_no_audio_is_refused_whatever_its_name(storage, case: str) -> None:
    body = form(part("file", NOT_AUDIO[case], "recording.wav"))

    error = await refused(upload(storage, somebody(), body, content_type=FORM))

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason(error) == "NOT_AUDIO"


async def test_a_film_without_sound_is_refused(storage) -> None:
    assert reason(await refused(upload(storage, somebody(), silent_film()))) == "NOT_AUDIO"


KINDS = {
    "audio/wav": ("wav", "pcm_s16le", ""),
    "audio/flac": ("flac", "flac", ""),
    "audio/mpeg": ("mp3", "libmp3lame", ""),
    "audio/ogg": ("ogg", "libopus", ""),
    "audio/webm": ("webm", "libopus", ""),
    "audio/mp4": ("ipod", "aac", ""),
    "audio/aac": ("adts", "aac", ""),
    "audio/aiff": ("aiff", "pcm_s16be", ""),
    "audio/x-matroska": ("matroska", "libopus", ""),
    "video/mp4": ("mp4", "aac", "libx264"),
    "video/webm": ("webm", "libopus", "libvpx"),
    "video/quicktime": ("mov", "aac", "libx264"),
}


@pytest.mark.parametrize("content_type", KINDS)
async def test_the_type_is_told_by_content(storage, content_type: str) -> None:
    container, codec, video = KINDS[content_type]

    file = await upload(storage, somebody(), sound(container, codec, video=video), content_type="text/plain")

    assert file.content_type == content_type
    assert 0.9 < file.duration.ToTimedelta().total_seconds() < 1.2


async def test_a_file_of_the_cap_is_taken_and_one_byte_more_is_not(
    certificates: dict[str, Path], settings: Settings
) -> None:
    capped = settings.model_copy(update={"largest_file_bytes": len(wav())})
    async with served("storage", open_app, capped, certificates) as service, service.channel() as channel:
        small = storage_pb2_grpc.StorageServiceStub(channel)
        taken = await upload(small, somebody(), wav())
        error = await refused(upload(small, somebody(), wav() + b"\0"))
        in_form = await refused(
            upload(small, somebody(), form(part("file", wav() + b"\0", "a.wav")), content_type=FORM)
        )

    assert taken.size_bytes == len(wav())
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason(error) == reason(in_form) == "FILE_TOO_LARGE"
    assert str(len(wav())) in error.details()


async def test_an_upload_is_refused_at_the_cap_and_not_at_its_end(storage, root: Path) -> None:
    before = blobs(root)

    async def without_end() -> AsyncIterator[storage_pb2.UploadFileRequest]:
        for _ in range(11):
            yield storage_pb2.UploadFileRequest(content=httpbody_pb2.HttpBody(data=bytes(100_000)))
        await asyncio.Event().wait()

    error = await refused(send(storage, somebody(), without_end))

    assert reason(error) == "FILE_TOO_LARGE"
    assert blobs(root) == before


async def test_an_upload_that_falls_silent_is_given_up(certificates: dict[str, Path], settings: Settings) -> None:
    impatient = settings.model_copy(update={"idle_seconds": 0.2})

    async def silent() -> AsyncIterator[storage_pb2.UploadFileRequest]:
        yield storage_pb2.UploadFileRequest(content=httpbody_pb2.HttpBody(data=wav()))
        await asyncio.Event().wait()

    async with served("storage", open_app, impatient, certificates) as service, service.channel() as channel:
        stub = storage_pb2_grpc.StorageServiceStub(channel)
        error = await refused(send(stub, somebody(), silent))

    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_an_upload_may_take_longer_than_other_calls(certificates: dict[str, Path], settings: Settings) -> None:
    hasty = settings.model_copy(update={"unary_seconds": 0.2})

    async def slow() -> AsyncIterator[storage_pb2.UploadFileRequest]:
        for message in messages(wav(), piece=32 * 1024):
            yield message
            await asyncio.sleep(0.15)

    async with served("storage", open_app, hasty, certificates) as service, service.channel() as channel:
        file = await storage_pb2_grpc.StorageServiceStub(channel).UploadFile(slow(), metadata=somebody())

    assert file.size_bytes == len(wav())


async def test_repeating_a_request_gives_the_first_file(storage, root: Path, as_user) -> None:
    owner, request_id = somebody(), names.new_id()
    first = await upload(storage, owner, wav(), request_id=request_id, display_name="first")

    again = await upload(storage, owner, wav(), request_id=request_id, display_name="again")
    usage = await as_user.SummarizeUsage(storage_pb2.SummarizeUsageRequest(days=1), metadata=owner)

    assert again == first
    assert usage.stored_files == 1
    assert usage.days[0].uploaded_bytes == len(wav())


async def test_a_request_id_with_other_content_is_refused(storage) -> None:
    owner, request_id = somebody(), names.new_id()
    await upload(storage, owner, wav(), request_id=request_id)

    error = await refused(upload(storage, owner, wav(2.0), request_id=request_id))

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason(error) == "REQUEST_ID_REUSED"


async def test_a_request_id_is_its_owners_alone(storage) -> None:
    request_id = names.new_id()

    mine = await upload(storage, somebody(), wav(), request_id=request_id)
    theirs = await upload(storage, somebody(), wav(2.0), request_id=request_id)

    assert mine.name != theirs.name


async def test_of_equal_requests_at_once_one_stores(storage, as_user, root: Path) -> None:
    owner, request_id = somebody(), names.new_id()
    before = blobs(root)

    files = await asyncio.gather(*(upload(storage, owner, wav(), request_id=request_id) for _ in range(8)))
    usage = await as_user.SummarizeUsage(storage_pb2.SummarizeUsageRequest(days=1), metadata=owner)

    assert len({file.name for file in files}) == 1
    assert usage.stored_files == 1
    assert set(blobs(root)) - set(before) == {blob(root, files[0])}


async def test_of_different_contents_with_one_request_id_at_once_one_wins(storage, database: str) -> None:
    owner, request_id = somebody(), names.new_id()

    results = await asyncio.gather(
        *(upload(storage, owner, wav(1 + number / 10), request_id=request_id) for number in range(6)),
        return_exceptions=True,
    )
    async with await psycopg.AsyncConnection.connect(database) as connection:
        cursor = await connection.execute("SELECT count(*) FROM files WHERE owner = %s", [owner[0][1]])
        (rows,) = await cursor.fetchone() or (None,)

    lost = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
    assert rows == 1
    assert len(lost) == 5
    assert {reason(error) for error in lost} == {"REQUEST_ID_REUSED"}


async def test_the_worker_stores_speech(as_worker) -> None:
    file = await upload(as_worker, somebody(), sound("flac", "flac"), purpose=Purpose.SPEECH, display_name="Hello")

    assert file.purpose == Purpose.SPEECH
    assert file.content_type == "audio/flac"


async def test_the_workers_word_is_taken_for_speech_without_a_container(as_worker) -> None:
    told = "audio/pcm;rate=24000;channels=1"

    file = await upload(as_worker, somebody(), bytes(4800), purpose=Purpose.SPEECH, content_type=told)

    assert file.content_type == told
    assert not file.HasField("duration")


async def test_the_workers_word_is_not_taken_for_anything_else(as_worker) -> None:
    owner = somebody()

    speech = await refused(upload(as_worker, owner, bytes(4800), purpose=Purpose.SPEECH, content_type="audio/wav"))
    recording = await refused(upload(as_worker, owner, bytes(4800), content_type="audio/pcm"))

    assert reason(speech) == reason(recording) == "NOT_AUDIO"


async def test_nobody_uploads_speech_through_the_edge(storage) -> None:
    error = await refused(upload(storage, somebody(), wav(), purpose=Purpose.SPEECH))

    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert reason(error) == "PURPOSE_NOT_ALLOWED"
