"""What the edge shows, read from a descriptor set."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from voicemesh.gateway.v1 import access_pb2

from services.gateway import surface
from services.mesh.contracts import Access

ROOT = Path(__file__).parents[2]


def described(path: str, access: Access.ValueType) -> bytes:
    """Our descriptor set with one more method: `GET path`, open to `access`."""
    everything = descriptor_pb2.FileDescriptorSet.FromString(surface.descriptors())
    auth = next(file for file in everything.file if file.name == "voicemesh/auth/v1/auth.proto")
    method = auth.service[0].method.add(
        name="Extra", input_type=".voicemesh.auth.v1.LogoutRequest", output_type=".google.protobuf.Empty"
    )
    method.options.Extensions[annotations_pb2.http].get = path
    method.options.Extensions[access_pb2.access] = access
    return everything.SerializeToString()


def test_the_public_set_is_what_the_contracts_say() -> None:
    assert surface.read().public == {
        (verb, path)
        for method, verb, rest in (
            ("Register", "POST", "/v1/auth:register"),
            ("Login", "POST", "/v1/auth:login"),
            ("Refresh", "POST", "/v1/auth:refresh"),
            ("GetJsonWebKeySet", "GET", "/.well-known/jwks.json"),
        )
        for verb, path in ((verb, rest), ("POST", f"/voicemesh.auth.v1.AuthService/{method}"))
    } | {
        (verb, path)
        for method, verb, rest in (
            ("VerifyAudio", "POST", "/v1/audio:verify"),
            ("VerifyDigest", "GET", "/v1/audio:verifyDigest"),
            ("GetAuthority", "GET", "/v1/provenance:authority"),
        )
        for verb, path in ((verb, rest), ("POST", f"/voicemesh.voice.v1.ProvenanceService/{method}"))
    }


def test_a_new_public_method_needs_no_other_change() -> None:
    shown = surface.read(described("/v1/extra", Access.PUBLIC))

    assert ("GET", "/v1/extra") in shown.public
    assert ("POST", "/voicemesh.auth.v1.AuthService/Extra") in shown.public


@pytest.mark.parametrize("path", ["/v1/{name=extras/*}", "/v1/extras/*", "/v1/**"])
def test_a_public_method_with_a_variable_in_its_path_is_an_error(path: str) -> None:
    shown = surface.read(described(path, Access.PUBLIC))

    with pytest.raises(ValueError, match="Extra is public and has a variable"):
        _ = shown.public


def test_a_closed_method_may_have_variables() -> None:
    assert surface.read(described("/v1/{name=extras/*}", Access.AUTHENTICATED)).public == surface.read().public


@pytest.mark.parametrize("access", [Access.INTERNAL, Access.ACCESS_UNSPECIFIED])
def test_internal_methods_and_those_that_do_not_say_are_hidden(access: Access.ValueType) -> None:
    shown = surface.read(described("/v1/extra", access))

    assert "/voicemesh.auth.v1.AuthService/Extra" in shown.hidden
    assert "/voicemesh.auth.v1.AuthService/Extra" not in {method.path for method in shown.exposed}
    assert ("GET", "/v1/extra") not in shown.public


def test_internal_methods_of_ours_are_hidden() -> None:
    assert surface.read().hidden == {
        "/voicemesh.auth.v1.AuthService/GetAccount",
        "/voicemesh.auth.v1.AuthService/ReadAuditLog",
        "/voicemesh.storage.v1.StorageService/ReadAuditLog",
        "/voicemesh.voice.v1.VoiceService/ReadAuditLog",
        "/voicemesh.storage.v1.StorageService/SummarizeUsage",
        "/voicemesh.voice.v1.VoiceService/SummarizeUsage",
    }


def test_the_descriptor_set_is_that_of_the_source_tree() -> None:
    assert surface.descriptors() == (ROOT / "gen" / "voicemesh.binpb").read_bytes()
