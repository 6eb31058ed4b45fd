"""Masks, pages, names, validation and the error table, without a server."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from cryptography.fernet import Fernet
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from voicemesh.user.v1 import user_pb2
from voicemesh.voice.v1 import speech_pb2, voice_pb2

from services.mesh import errors, masks, names, status, validation
from services.mesh.pages import LARGEST_SIZE, PageTokens
from services.mesh.requests import digest


@dataclass(frozen=True)
class Item:
    id: str


def subclasses(kind: type) -> set[type]:
    return {kind, *(each for child in kind.__subclasses__() for each in subclasses(child))} - {errors.MeshError}


def test_every_kind_of_error_has_a_code() -> None:
    ours = {kind for kind in subclasses(errors.MeshError) if kind.__module__ == errors.__name__}

    assert ours == set(status.CODES)
    assert len(set(status.CODES.values())) == len(status.CODES)


def test_an_error_carries_its_details() -> None:
    error = errors.InvalidArgument(
        "WHY", "because", violations=[errors.Violation("a.b", "wrong")], retry_after=1.5, of="them"
    )

    made = status.to_proto(error)
    kinds = {detail.type_url.rpartition(".")[2]: detail for detail in made.details}
    retry, bad = error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
    kinds["RetryInfo"].Unpack(retry)
    kinds["BadRequest"].Unpack(bad)

    assert (made.code, made.message, status.reason(made)) == (3, "because", "WHY")
    assert retry.retry_delay.ToMilliseconds() == 1500
    assert [(each.field, each.description) for each in bad.field_violations] == [("a.b", "wrong")]


def test_without_a_mask_the_fields_that_are_set_change() -> None:
    user = user_pb2.User(name="users/me", display_name="Ada", email="not@mine.to.set")

    assert masks.changes(user, FieldMask()) == {"display_name": "Ada"}


def test_a_mask_names_the_fields_and_can_empty_them() -> None:
    user = user_pb2.User(name="users/me", display_name="Ada")

    assert masks.changes(user, FieldMask(paths=["bio"])) == {"bio": ""}
    assert masks.changes(user, FieldMask(paths=["*"])) == {"display_name": "Ada", "bio": ""}
    assert masks.changes(user, FieldMask(paths=["email"])) == {}


@pytest.mark.parametrize("path", ["nothing", "recordings", "consent"])
def test_a_mask_of_what_cannot_change_is_refused(path: str) -> None:
    with pytest.raises(errors.InvalidArgument) as raised:
        masks.changes(voice_pb2.Voice(), FieldMask(paths=[path]))

    assert raised.value.reason == "BAD_UPDATE_MASK"


def test_page_tokens_hold_for_their_list_alone() -> None:
    tokens = PageTokens(Fernet.generate_key().decode())
    items = [Item(str(number)) for number in range(3)]
    page = tokens.page(2, "", "ada", "voices")

    first, token = tokens.cut(items, page, "ada", "voices")

    assert [item.id for item in first] == ["0", "1"]
    assert tokens.page(0, token, "ada", "voices").after == "1"
    assert tokens.page(10**6, "", "ada").size == LARGEST_SIZE
    for query in (("eve", "voices"), ("ada", "speeches"), ("ada",)):
        with pytest.raises(errors.InvalidArgument):
            tokens.page(2, token, *query)
    with pytest.raises(errors.InvalidArgument):
        PageTokens(Fernet.generate_key().decode()).page(2, token, "ada", "voices")


def test_the_last_page_has_no_token() -> None:
    tokens = PageTokens(Fernet.generate_key().decode())

    assert tokens.cut([Item("1")], tokens.page(1, "", "ada"), "ada")[1] == ""


@pytest.mark.parametrize(
    "name", ["voices/", "voices", "files/0197", "voices/../x", "voices/1/2", "", "voices/" + "0" * 31]
)
def test_a_name_that_nothing_can_have_is_not_found(name: str) -> None:
    with pytest.raises(errors.NotFound):
        names.id_of(name, "voices", "VOICE_NOT_FOUND")


def test_ids_sort_by_age() -> None:
    made = [names.new_id() for _ in range(100)]

    assert made == sorted(made)
    assert names.id_of(f"voices/{made[0].upper()}", "voices", "X") == made[0]


def test_a_digest_is_of_everything_but_the_request_id() -> None:
    one = voice_pb2.CreateVoiceRequest(voice={"display_name": "a"}, request_id="1")
    same = voice_pb2.CreateVoiceRequest(voice={"display_name": "a"}, request_id="2")
    other = voice_pb2.CreateVoiceRequest(voice={"display_name": "b"}, request_id="1")

    assert digest(one) == digest(same) != digest(other)


def test_a_rule_about_a_field_names_that_field() -> None:
    with pytest.raises(errors.InvalidArgument) as raised:
        validation.check(voice_pb2.CreateVoiceRequest(voice={"recordings": ["files/a", "nonsense"]}))

    assert {violation.field for violation in raised.value.violations} == {
        "voice.display_name",
        "voice.consent",
        "voice.recordings[1]",
    }


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (speech_pb2.SpeakRequest(name="voices/a"), ["text"]),
        (speech_pb2.SpeakRequest(name="voices/a", text="a", ssml="<speak>a</speak>"), ["text"]),
        (
            speech_pb2.CreateSpeechRequest(speech=speech_pb2.Speech(voice="voices/a"), request_id="no"),
            ["request_id", "speech.text"],
        ),
        (speech_pb2.SpeakRequest(name="voices/a", text="bell \u0007"), ["text"]),
    ],
)
def test_what_breaks_a_contract_is_named(message: Message, fields: list[str]) -> None:
    with pytest.raises(errors.InvalidArgument) as raised:
        validation.check(message)

    assert sorted(violation.field for violation in raised.value.violations) == fields
