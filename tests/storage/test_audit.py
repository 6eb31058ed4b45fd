"""What storage writes into the audit log."""

from __future__ import annotations

import hashlib

from google.api import httpbody_pb2
from voicemesh.storage.v1 import storage_pb2

from services.mesh import names
from tests.audited import AT_HOME, audited, kinds
from tests.storage.calls import somebody, upload
from tests.storage.sounds import wav


async def test_files_that_come_and_go_are_written_down(storage, as_user) -> None:
    owner, data = somebody(), wav()
    file = await upload(storage, (*owner, *AT_HOME), data, display_name="my secret name")
    await storage.DeleteFile(storage_pb2.DeleteFileRequest(name=file.name), metadata=owner)

    uploaded, deleted = await audited(as_user, owner)

    assert kinds([uploaded, deleted]) == ["FILE_UPLOADED", "FILE_DELETED"]
    assert uploaded.resource == deleted.resource == file.name
    assert (uploaded.address, uploaded.peer) == ("203.0.113.7", "envoy")
    assert dict(uploaded.details) == {
        "purpose": "RECORDING",
        "size_bytes": str(len(data)),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert "secret" not in str(uploaded)


async def test_an_upload_that_is_repeated_is_one_event(storage, as_user) -> None:
    owner, id = somebody(), names.new_id()
    for _ in range(2):
        await upload(storage, owner, wav(), request_id=id)

    assert kinds(await audited(as_user, owner)) == ["FILE_UPLOADED"]


async def test_what_the_worker_stores_says_so(as_worker, as_user) -> None:
    owner = somebody()

    async def pieces():
        content = httpbody_pb2.HttpBody(content_type="audio/wav", data=wav())
        yield storage_pb2.UploadFileRequest(content=content, purpose=storage_pb2.File.SPEECH)

    await as_worker.UploadFile(pieces(), metadata=owner)

    (event,) = await audited(as_user, owner)

    assert (event.peer, event.details["purpose"]) == ("worker", "SPEECH")
