"""Profiles and preferences over real mTLS gRPC and a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.resources import files as resources
from pathlib import Path

import grpc
import psycopg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from voicemesh.user.v1 import user_pb2, user_pb2_grpc

from services.mesh import names
from services.mesh.postgres import migrate
from services.mesh.status import reason
from services.user import siblings
from services.user.app import open_app
from services.user.settings import Settings
from tests.peers import Metadata, served, signed_in
from tests.user.siblings import Answers

Theme = user_pb2.Preferences.Theme


async def get(stub, who: Metadata, name: str = "users/me") -> user_pb2.User:
    return await stub.GetUser(user_pb2.GetUserRequest(name=name), metadata=who)


async def update(stub, who: Metadata, *paths: str, **values: str) -> user_pb2.User:
    request = user_pb2.UpdateUserRequest(
        user=user_pb2.User(**{"name": "users/me", **values}), update_mask=FieldMask(paths=paths)
    )
    return await stub.UpdateUser(request, metadata=who)


async def preferences(stub, who: Metadata, name: str = "users/me/preferences") -> user_pb2.Preferences:
    return await stub.GetPreferences(user_pb2.GetPreferencesRequest(name=name), metadata=who)


async def prefer(stub, who: Metadata, *paths: str, **values: object) -> user_pb2.Preferences:
    request = user_pb2.UpdatePreferencesRequest(
        preferences=user_pb2.Preferences(**{"name": "users/me/preferences", **values}),
        update_mask=FieldMask(paths=paths),
    )
    return await stub.UpdatePreferences(request, metadata=who)


async def refused(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), reason(raised.value)


async def test_a_profile_is_there_from_first_use_on(user, ada: Metadata, ada_id: str) -> None:
    first = await get(user, ada)
    again = await get(user, ada, f"users/{ada_id}")

    assert first == again
    assert first.name == f"users/{ada_id}"
    assert first.email == "ada@example.org"
    assert first.create_time.seconds == 1_700_000_000
    assert (first.display_name, first.bio) == ("", "")
    assert first.etag


async def test_first_uses_at_once_make_one_profile(user, ada: Metadata) -> None:
    users = await asyncio.gather(*(get(user, ada) for _ in range(10)))

    assert len({each.etag for each in users}) == 1


async def test_the_account_is_asked_on_behalf_of_the_caller(user, ada: Metadata, ada_id: str, answers: Answers) -> None:
    await get(user, ada)

    (asked,) = answers.callers
    assert asked.user == ada_id
    assert asked.session == "session-1"
    assert asked.scopes == {"user:read", "user:write"}
    assert asked.peer == "user"
    assert asked.request_id


@pytest.mark.parametrize("name", ["users/someone", "users/01a213ba-a248-74bb-9e16-b3a3c7227ca0", "users/ME"])
async def test_nobody_sees_anybody_else(user, ada: Metadata, name: str) -> None:
    not_found = (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
    usage = user_pb2.GetUsageRequest(name=f"{name}/usage")

    assert await refused(get(user, ada, name)) == not_found
    assert await refused(update(user, ada, name=name, bio="x")) == not_found
    assert await refused(preferences(user, ada, f"{name}/preferences")) == not_found
    assert await refused(prefer(user, ada, name=f"{name}/preferences", language="de")) == not_found
    assert await refused(user.GetUsage(usage, metadata=ada)) == not_found


async def test_a_user_whose_account_is_gone_is_not_found(user) -> None:
    gone = signed_in(names.new_id())

    assert await refused(get(user, gone)) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
    assert await refused(update(user, gone, bio="x")) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")


async def test_without_a_mask_what_is_set_changes(user, ada: Metadata) -> None:
    await update(user, ada, display_name="Ada", bio="Countess")

    changed = await update(user, ada, display_name="Ada L.")

    assert (changed.display_name, changed.bio) == ("Ada L.", "Countess")
    assert await get(user, ada) == changed


async def test_a_mask_says_what_changes_and_empties(user, ada: Metadata) -> None:
    await update(user, ada, display_name="Ada", bio="Countess")

    one = await update(user, ada, "bio", display_name="ignored")
    both = await update(user, ada, "*", display_name="Ada again")

    assert (one.display_name, one.bio) == ("Ada", "")
    assert (both.display_name, both.bio) == ("Ada again", "")


async def test_what_the_platform_writes_cannot_be_changed(user, ada: Metadata) -> None:
    changed = await update(user, ada, "email", "create_time", "bio", email="evil@example.org", bio="x")

    assert changed.email == "ada@example.org"
    assert changed.create_time.seconds == 1_700_000_000
    assert changed.bio == "x"


async def test_a_mask_of_an_unknown_field_is_refused(user, ada: Metadata) -> None:
    assert await refused(update(user, ada, "password")) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_UPDATE_MASK")


@pytest.mark.parametrize("values", [{"display_name": "a\nb"}, {"display_name": "x" * 101}, {"bio": "x" * 2001}])
async def test_values_keep_the_contracts_rules(user, ada: Metadata, values: dict[str, str]) -> None:
    assert await refused(update(user, ada, **values)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")


async def test_an_update_of_something_read_before_another_change_fails(user, ada: Metadata) -> None:
    read = await get(user, ada)
    changed = await update(user, ada, bio="mine", etag=read.etag)

    late = await refused(update(user, ada, bio="theirs", etag=read.etag))
    nothing_to_change = await refused(update(user, ada, etag=read.etag))

    assert late == nothing_to_change == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert changed.etag != read.etag
    assert await get(user, ada) == changed


async def test_of_updates_at_once_with_one_etag_one_wins(user, ada: Metadata) -> None:
    etag = (await get(user, ada)).etag

    results = await asyncio.gather(
        *(update(user, ada, bio=str(number), etag=etag) for number in range(8)), return_exceptions=True
    )

    won = [result for result in results if isinstance(result, user_pb2.User)]
    assert len(won) == 1
    assert await get(user, ada) == won[0]


async def test_an_update_that_changes_nothing_leaves_the_etag(user, ada: Metadata) -> None:
    before = await get(user, ada)

    assert await update(user, ada, etag=before.etag) == before


async def test_preferences_begin_empty_and_keep_what_is_set(user, ada: Metadata, ada_id: str) -> None:
    first = await preferences(user, ada)
    voice = f"voices/{names.new_id()}"

    changed = await prefer(user, ada, default_voice=voice, language="en-GB", theme=Theme.DARK, email_on_completion=True)

    assert first.name == f"users/{ada_id}/preferences"
    assert (first.default_voice, first.language, first.theme, first.email_on_completion) == ("", "", 0, False)
    assert (changed.default_voice, changed.language, changed.theme) == (voice, "en-GB", Theme.DARK)
    assert changed.email_on_completion
    assert await preferences(user, ada, f"users/{ada_id}/preferences") == changed


async def test_preferences_are_set_back_by_a_mask(user, ada: Metadata) -> None:
    await prefer(user, ada, language="de", theme=Theme.LIGHT, email_on_completion=True)

    changed = await prefer(user, ada, "theme", "email_on_completion")

    assert (changed.language, changed.theme, changed.email_on_completion) == ("de", Theme.THEME_UNSPECIFIED, False)


async def test_preferences_have_an_etag_too(user, ada: Metadata) -> None:
    read = await preferences(user, ada)
    await prefer(user, ada, language="de", etag=read.etag)

    assert await refused(prefer(user, ada, language="fr", etag=read.etag)) == (
        grpc.StatusCode.ABORTED,
        "ETAG_MISMATCH",
    )


@pytest.mark.parametrize("values", [{"default_voice": "voice"}, {"language": "not a language"}, {"theme": 9}])
async def test_preferences_keep_the_contracts_rules(user, ada: Metadata, values: dict[str, object]) -> None:
    assert await refused(prefer(user, ada, **values)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")


async def test_users_do_not_share_anything(user, ada: Metadata, answers: Answers) -> None:
    bob = signed_in(names.new_id())
    answers.accounts[bob[0][1]] = next(iter(answers.accounts.values()))
    await update(user, ada, bio="Ada's")
    await prefer(user, ada, language="de")

    assert (await get(user, bob)).bio == ""
    assert (await preferences(user, bob)).language == ""


async def test_scopes_are_needed(user, ada_id: str) -> None:
    reader = signed_in(ada_id, scopes="user:read")

    assert (await get(user, reader)).name == f"users/{ada_id}"
    assert await refused(update(user, reader, bio="x")) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")


async def test_without_auth_a_profile_is_unavailable_and_preferences_are_not(
    settings: Settings, certificates: dict[str, Path], ada: Metadata, free_port: Callable[[], int]
) -> None:
    alone = settings.model_copy(update={"auth_address": f"127.0.0.1:{free_port()}"})
    async with served("user", open_app, alone, certificates) as service, service.channel() as channel:
        stub = user_pb2_grpc.UserServiceStub(channel)
        profile = await refused(get(stub, ada))
        found = await preferences(stub, ada)

    assert profile == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
    assert found.etag


async def test_an_auth_that_never_answers_is_not_waited_for(
    user, ada: Metadata, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(siblings, "SECONDS", 0.2)
    answers.silent.add("auth")

    assert await refused(get(user, ada)) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")


async def test_ten_processes_migrate_at_once(new_database: Callable[[], str]) -> None:
    address, migrations = new_database(), resources("services.user") / "migrations"

    await asyncio.gather(*(migrate(address, migrations) for _ in range(10)))

    async with await psycopg.AsyncConnection.connect(address) as connection:
        applied = [name async for (name,) in await connection.execute("SELECT name FROM schema_migrations")]
    ours = {file.name for file in migrations.iterdir() if file.name.endswith(".sql")}
    assert len(applied) == len(set(applied))
    assert ours <= set(applied)
