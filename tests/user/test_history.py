"""The audit log of a user: what auth, voice and storage have written down, put together."""

from __future__ import annotations

import grpc
import pytest
from voicemesh.user.v1 import user_pb2

from services.mesh import names
from services.mesh.status import reason
from services.user import siblings
from tests.peers import Metadata, signed_in
from tests.user.siblings import Answers


async def listed(stub, who: Metadata, **request: object) -> user_pb2.ListAuditEventsResponse:
    asked = user_pb2.ListAuditEventsRequest(**{"parent": "users/me", **request})
    return await stub.ListAuditEvents(asked, metadata=who)


def ids(page: user_pb2.ListAuditEventsResponse) -> list[str]:
    return [event.name.rpartition("/")[2] for event in page.audit_events]


@pytest.fixture
def auditor(ada: Metadata) -> Metadata:
    """Ada, with the scope that it takes."""
    return signed_in(ada[0][1], scopes="audit:read")


@pytest.fixture
def happened(answers: Answers) -> list[str]:
    """Ids of seven events, newest first, done by three services in turn."""
    found = [names.new_id() for _ in range(7)][::-1]
    answers.events = {"auth": found[0::3], "voice": found[1::3], "storage": found[2::3]}
    return found


async def test_events_of_all_services_come_newest_first(user, auditor: Metadata, happened: list[str]) -> None:
    page = await listed(user, auditor)

    assert ids(page) == happened
    assert [event.service for event in page.audit_events[:3]] == ["auth", "voice", "storage"]
    assert page.next_page_token == ""


@pytest.mark.parametrize("size", [1, 2, 3, 5])
async def test_pages_have_each_event_once(user, auditor: Metadata, happened: list[str], size: int) -> None:
    seen, token = [], ""
    while True:
        page = await listed(user, auditor, page_size=size, page_token=token)
        assert len(page.audit_events) <= size
        seen += ids(page)
        token = page.next_page_token
        if not token:
            break

    assert seen == happened


async def test_a_service_is_asked_on_behalf_of_the_caller(user, auditor: Metadata, ada_id: str, answers) -> None:
    await listed(user, auditor, parent=f"users/{ada_id}")

    assert {(asked.user, asked.peer) for asked in answers.callers} == {(ada_id, "user")}
    assert len(answers.callers) == 3


async def test_somebody_elses_log_is_not_there(user, auditor: Metadata, answers) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await listed(user, auditor, parent=f"users/{names.new_id()}")

    assert (raised.value.code(), reason(raised.value)) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
    assert answers.callers == []


async def test_a_credential_needs_the_scope(user, ada: Metadata) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await listed(user, ada)

    assert reason(raised.value) == "SCOPE_MISSING"


async def test_a_page_token_is_good_for_its_own_list_only(user, auditor: Metadata, happened: list[str]) -> None:
    token = (await listed(user, auditor, page_size=1)).next_page_token

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await listed(user, signed_in(names.new_id()), page_token=token)

    assert reason(raised.value) == "BAD_PAGE_TOKEN"


async def test_a_service_that_does_not_answer_makes_it_unavailable(
    user, auditor: Metadata, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(siblings, "SECONDS", 0.2)
    answers.silent.add("storage")

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await listed(user, auditor)

    assert (raised.value.code(), reason(raised.value)) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
