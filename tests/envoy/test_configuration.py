"""The rendered configuration, in each of its settings, before anything runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from services.gateway import surface
from services.local import envoy
from tests.envoy.edge import PROGRAM

PROCESSES = ("auth", "user", "storage", "voice", "gateway")
LOCAL = {process: ("127.0.0.1", 8081 + number) for number, process in enumerate(PROCESSES)}
COMPOSE = {process: (process, 8081) for process in PROCESSES}
KUBERNETES = {process: (f"voicemesh-{process}.prod.svc.cluster.local", 8081) for process in PROCESSES}


def render(services=LOCAL, **options):
    return yaml.safe_load(
        envoy.render(listen=("0.0.0.0", 8080), services=services, secrets=Path("/etc/envoy"), **options)  # noqa: S104
    )


@pytest.mark.parametrize("services", [LOCAL, COMPOSE, KUBERNETES], ids=["local", "compose", "kubernetes"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_envoy_takes_the_configuration(tmp_path: Path, certificates, services, tls: bool) -> None:
    configuration = envoy.write(
        tmp_path,
        certificates=certificates["envoy"],
        listen=("0.0.0.0", 8080),  # noqa: S104
        services=services,
        admin=None if tls else ("127.0.0.1", 9901),
        tls=certificates["envoy"] if tls else None,
    )

    run = subprocess.run([PROGRAM, "--mode", "validate", "-c", configuration], capture_output=True, text=True)

    assert run.returncode == 0, run.stderr


def test_addresses_are_used_as_they_are_and_names_are_looked_up() -> None:
    kinds = {
        (services["auth"][0], cluster["type"])
        for services in (LOCAL, COMPOSE)
        for cluster in render(services)["static_resources"]["clusters"]
    }

    assert kinds == {("127.0.0.1", "STATIC"), ("auth", "STRICT_DNS")}


def test_every_exposed_method_has_a_route_to_a_cluster_and_no_other_has() -> None:
    resources = render()["static_resources"]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    clusters = {cluster["name"] for cluster in resources["clusters"]}
    shown = surface.read()

    *methods, last = routes

    assert {route["match"]["path"] for route in methods} == {m.path for m in shown.exposed} | set(surface.FOREIGN)
    assert {route["route"]["cluster"] for route in methods} == clusters
    assert last["route"]["cluster"] not in clusters


def test_nobody_listens_for_admin_unless_told() -> None:
    assert "admin" not in render()
    assert render(admin=("127.0.0.1", 9901))["admin"]["address"]["socket_address"]["port_value"] == 9901


def test_a_value_cannot_change_the_structure() -> None:
    odd = 'http://a.test"}\n- x: {{ y }} # %z'

    policy = render(cors_origins=[odd])["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    host = policy["typed_config"]["route_config"]["virtual_hosts"][0]
    origins = host["typed_per_filter_config"]["envoy.filters.http.cors"]["allow_origin_string_match"]

    assert len(origins) == 1


def test_a_missing_service_is_an_error() -> None:
    with pytest.raises(KeyError, match="voice"):
        render({process: at for process, at in LOCAL.items() if process != "voice"})


def test_the_descriptor_set_can_be_a_file() -> None:
    text = envoy.render(
        listen=("127.0.0.1", 8080), services=LOCAL, secrets=Path("/etc/envoy"), descriptors=Path("/etc/envoy/v.binpb")
    )

    assert 'proto_descriptor: "/etc/envoy/v.binpb"' in text
    assert "proto_descriptor_bin" not in text
