"""Files over real mTLS gRPC: who sees them, in which order, and how they leave."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import unquote

import grpc
import pytest
from voicemesh.storage.v1 import storage_pb2

from services.mesh import names
from services.mesh.status import reason
from services.storage.files import LONGEST_NAME, base_name, printable
from tests.peers import Metadata, signed_in
from tests.storage.calls import blob, somebody, upload
from tests.storage.sounds import sound, wav

Purpose = storage_pb2.File.Purpose


async def listed(stub, owner: Metadata, **request: object) -> storage_pb2.ListFilesResponse:
    return await stub.ListFiles(storage_pb2.ListFilesRequest(**request), metadata=owner)


async def downloaded(stub, owner: Metadata, name: str) -> tuple[list, dict[str, str]]:
    call = stub.DownloadFile(storage_pb2.DownloadFileRequest(name=name), metadata=owner)
    pieces = [piece async for piece in call]
    return pieces, dict(await call.initial_metadata())


async def test_get_gives_what_upload_gave(storage) -> None:
    owner = somebody()
    file = await upload(storage, owner, wav(), display_name="one")

    assert await storage.GetFile(storage_pb2.GetFileRequest(name=file.name), metadata=owner) == file


async def test_list_is_newest_first_in_pages(storage) -> None:
    owner = somebody()
    files = [await upload(storage, owner, wav(), display_name=str(number)) for number in range(5)]

    first = await listed(storage, owner, page_size=2)
    second = await listed(storage, owner, page_size=2, page_token=first.next_page_token)
    third = await listed(storage, owner, page_size=2, page_token=second.next_page_token)

    assert [*first.files, *second.files, *third.files] == files[::-1]
    assert [len(page.files) for page in (first, second, third)] == [2, 2, 1]
    assert third.next_page_token == ""


async def test_a_page_is_not_disturbed_by_what_comes_and_goes(storage) -> None:
    owner = somebody()
    files = [await upload(storage, owner, wav()) for _ in range(4)]

    first = await listed(storage, owner, page_size=2)
    await storage.DeleteFile(storage_pb2.DeleteFileRequest(name=files[2].name), metadata=owner)
    await upload(storage, owner, wav())
    second = await listed(storage, owner, page_size=2, page_token=first.next_page_token)

    assert [file.name for file in second.files] == [files[1].name, files[0].name]


async def test_a_page_token_is_good_for_its_own_list_only(storage) -> None:
    owner, other = somebody(), somebody()
    for _ in range(2):
        await upload(storage, owner, wav())
    token = (await listed(storage, owner, page_size=1)).next_page_token

    for who, request in (
        (other, {"page_token": token}),
        (owner, {"page_token": token, "purpose": Purpose.SPEECH}),
        (owner, {"page_token": "made up"}),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await listed(storage, who, **request)

        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert reason(raised.value) == "BAD_PAGE_TOKEN"


async def test_speech_is_listed_when_asked_for(storage, as_worker) -> None:
    owner = somebody()
    recording = await upload(storage, owner, wav())
    speech = await upload(as_worker, owner, wav(), purpose=Purpose.SPEECH)

    default = await listed(storage, owner)
    spoken = await listed(storage, owner, purpose=Purpose.SPEECH)

    assert list(default.files) == [recording]
    assert list(spoken.files) == [speech]


async def test_nobody_reaches_what_is_another_persons(storage, root: Path) -> None:
    owner, other = somebody(), somebody()
    file = await upload(storage, owner, wav())

    refusals = []
    for call in (
        storage.GetFile(storage_pb2.GetFileRequest(name=file.name), metadata=other),
        storage.DeleteFile(storage_pb2.DeleteFileRequest(name=file.name), metadata=other),
        downloaded(storage, other, file.name),
        storage.GetFile(storage_pb2.GetFileRequest(name=f"files/{names.new_id()}"), metadata=owner),
        storage.GetFile(storage_pb2.GetFileRequest(name="files/no-uuid"), metadata=owner),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        refusals.append((raised.value.code(), reason(raised.value)))

    assert set(refusals) == {(grpc.StatusCode.NOT_FOUND, "FILE_NOT_FOUND")}
    assert list((await listed(storage, other)).files) == []
    assert blob(root, file).exists()


async def test_a_deleted_file_is_gone_with_its_bytes(storage, root: Path) -> None:
    owner = somebody()
    file = await upload(storage, owner, wav())

    await storage.DeleteFile(storage_pb2.DeleteFileRequest(name=file.name), metadata=owner)

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await storage.DeleteFile(storage_pb2.DeleteFileRequest(name=file.name), metadata=owner)
    assert reason(raised.value) == "FILE_NOT_FOUND"
    assert not blob(root, file).exists()


async def test_a_file_whose_bytes_are_gone_is_not_found(storage, root: Path) -> None:
    owner = somebody()
    file = await upload(storage, owner, wav())
    blob(root, file).unlink()

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await downloaded(storage, owner, file.name)

    assert reason(raised.value) == "FILE_NOT_FOUND"


async def test_download_gives_the_same_bytes_in_small_pieces(storage) -> None:
    owner, data = somebody(), wav(8.0)
    file = await upload(storage, owner, data, display_name="Take 1.wav")

    pieces, metadata = await downloaded(storage, owner, file.name)

    assert hashlib.sha256(b"".join(piece.data for piece in pieces)).hexdigest() == file.sha256
    assert [piece.content_type for piece in pieces] == ["audio/wav", *[""] * (len(pieces) - 1)]
    assert max(len(piece.data) for piece in pieces) <= 256 * 1024
    assert len(pieces) > 2
    assert metadata["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("display_name", "file_name"),
    [
        ("Take 1.wav", "Take 1.wav"),
        ("Stimme – 声.wav", "Stimme – 声.wav"),
        ('a"; filename="evil.exe', 'a"; filename="evil.exe'),
        ("../../etc/passwd.wav", "passwd.wav"),
        ("no extension", "no extension.flac"),
        ("Dr. Jekyll and Mr. Hyde", "Dr. Jekyll and Mr. Hyde.flac"),
    ],
)
async def test_download_names_the_file_safely(storage, display_name: str, file_name: str) -> None:
    owner = somebody()
    file = await upload(storage, owner, sound("flac", "flac"), display_name=display_name)

    _, metadata = await downloaded(storage, owner, file.name)
    kind, _, encoded = metadata["content-disposition"].partition("; filename*=UTF-8''")

    assert kind == "attachment"
    assert unquote(encoded) == file_name
    assert not set(encoded) & set("\"'; /\\")


async def test_only_named_processes_may_call(storage, as_user) -> None:
    owner = somebody()
    with pytest.raises(grpc.aio.AioRpcError) as through_edge:
        await storage.SummarizeUsage(storage_pb2.SummarizeUsageRequest(days=1), metadata=owner)
    with pytest.raises(grpc.aio.AioRpcError) as from_user:
        await listed(as_user, owner)

    assert reason(through_edge.value) == reason(from_user.value) == "PEER_NOT_ALLOWED"


async def test_scopes_are_needed(storage) -> None:
    reader = signed_in(names.new_id(), scopes="files:read")

    await listed(storage, reader)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await upload(storage, reader, wav())

    assert reason(raised.value) == "SCOPE_MISSING"


def test_names_keep_what_people_write() -> None:
    assert printable("👩‍👩‍👧 weekend.wav") == "👩‍👩‍👧 weekend.wav"
    assert base_name("a/b\\c.wav") == "c.wav"
    assert len(printable("é" * 300)) == LONGEST_NAME
