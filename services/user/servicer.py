"""Protobuf in, one domain call, protobuf out."""

from __future__ import annotations

from voicemesh.user.v1 import user_pb2, user_pb2_grpc

from services.mesh import masks
from services.mesh.identity import caller
from services.mesh.interceptors import Context
from services.mesh.pages import PageTokens
from services.mesh.times import day, timestamp
from services.user import history, records, usage, users
from services.user.records import Preferences, Profile, Records, owner_of
from services.user.siblings import Siblings
from services.user.usage import Usage
from services.user.users import User


class UserServicer(user_pb2_grpc.UserServiceServicer):
    """voicemesh.user.v1.UserService"""

    def __init__(
        self,
        profiles: Records[Profile],
        preferences: Records[Preferences],
        siblings: Siblings,
        tokens: PageTokens,
    ) -> None:
        self._profiles = profiles
        self._preferences = preferences
        self._siblings = siblings
        self._tokens = tokens

    async def GetUser(self, request: user_pb2.GetUserRequest, context: Context) -> user_pb2.User:
        owner = owner_of(request.name, caller().user)
        return to_proto(await users.get(owner, accounts=self._siblings, profiles=self._profiles))

    async def UpdateUser(self, request: user_pb2.UpdateUserRequest, context: Context) -> user_pb2.User:
        owner = owner_of(request.user.name, caller().user)
        changes = masks.changes(request.user, request.update_mask)
        user = await users.update(owner, changes, request.user.etag, accounts=self._siblings, profiles=self._profiles)
        return to_proto(user)

    async def GetPreferences(self, request: user_pb2.GetPreferencesRequest, context: Context) -> user_pb2.Preferences:
        owner = owner_of(request.name, caller().user, "/preferences")
        return preferences_to_proto(owner, await self._preferences.read(owner))

    async def UpdatePreferences(
        self, request: user_pb2.UpdatePreferencesRequest, context: Context
    ) -> user_pb2.Preferences:
        owner = owner_of(request.preferences.name, caller().user, "/preferences")
        changes = masks.changes(request.preferences, request.update_mask)
        if "theme" in changes:
            changes["theme"] = user_pb2.Preferences.Theme.Name(changes["theme"])
        changed = await records.change(owner, changes, request.preferences.etag, records=self._preferences)
        return preferences_to_proto(owner, changed)

    async def GetUsage(self, request: user_pb2.GetUsageRequest, context: Context) -> user_pb2.Usage:
        owner = owner_of(request.name, caller().user, "/usage")
        return usage_to_proto(owner, await usage.add_up(request.days, ledgers=self._siblings))

    async def ListAuditEvents(
        self, request: user_pb2.ListAuditEventsRequest, context: Context
    ) -> user_pb2.ListAuditEventsResponse:
        query = (owner_of(request.parent, caller().user), "auditEvents")
        page = self._tokens.page(request.page_size, request.page_token, *query)
        found, token = self._tokens.cut(await history.events(page, logs=self._siblings), page, *query)
        return user_pb2.ListAuditEventsResponse(audit_events=[each.message for each in found], next_page_token=token)


def to_proto(user: User) -> user_pb2.User:
    """The user as they see themselves."""
    return user_pb2.User(
        name=f"users/{user.id}",
        email=user.account.email,
        display_name=user.profile.display_name,
        bio=user.profile.bio,
        create_time=timestamp(user.account.created_at),
        update_time=timestamp(user.profile.updated_at),
        etag=user.profile.etag,
    )


def preferences_to_proto(owner: str, preferences: Preferences) -> user_pb2.Preferences:
    """The preferences as their owner sees them."""
    return user_pb2.Preferences(
        name=f"users/{owner}/preferences",
        default_voice=preferences.default_voice,
        language=preferences.language,
        theme=user_pb2.Preferences.Theme.Value(preferences.theme),
        email_on_completion=preferences.email_on_completion,
        update_time=timestamp(preferences.updated_at),
        etag=preferences.etag,
    )


def usage_to_proto(owner: str, used: Usage) -> user_pb2.Usage:
    """The usage as its owner sees it."""
    return user_pb2.Usage(
        name=f"users/{owner}/usage",
        voices_by_state=used.spoken.voices_by_state,
        characters=used.spoken.characters,
        audio_seconds=used.spoken.audio_seconds,
        stored_bytes=used.stored.stored_bytes,
        stored_files=used.stored.stored_files,
        days=[
            user_pb2.DailyUsage(
                date=day(each.date),
                voices_created=each.voices_created,
                characters=each.characters,
                audio_seconds=each.audio_seconds,
                uploaded_bytes=each.uploaded_bytes,
            )
            for each in used.days
        ],
    )
