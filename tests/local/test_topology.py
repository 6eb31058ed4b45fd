"""Each process is told where it listens, whom it calls and what it alone may know."""

from pathlib import Path

import pytest

from services.local import state, topology
from services.local.child import Process
from services.local.topology import Layout


class Databases:
    def url(self, database: str) -> str:
        return f"postgresql:///{database}"


@pytest.fixture
def processes(tmp_path: Path) -> dict[str, Process]:
    return made(tmp_path, {"PATH": "/bin", "VOICEMESH_VOICE_QUOTA": "3"})


def made(folder: Path, environment: dict[str, str]) -> dict[str, Process]:
    tls = {name: folder / name for name in topology.ALL}
    layout = Layout(environment=environment, only=frozenset(topology.ALL) - {"envoy"})
    return {
        process.name: process for process in topology.processes(layout, state.at(folder / "state"), tls, Databases())
    }


def test_services_listen_on_their_ports(processes: dict[str, Process]) -> None:
    listens = {name: processes[name].address for name in topology.OFFSETS}

    assert listens == {
        "auth": "127.0.0.1:8081",
        "voice": "127.0.0.1:8082",
        "storage": "127.0.0.1:8083",
        "user": "127.0.0.1:8084",
        "gateway": "127.0.0.1:8090",
    }
    assert processes["auth"].environment["VOICEMESH_AUTH_LISTEN"] == "127.0.0.1:8081"


def test_services_know_their_siblings(processes: dict[str, Process]) -> None:
    assert processes["user"].environment["VOICEMESH_USER_AUTH_ADDRESS"] == "127.0.0.1:8081"
    assert processes["user"].environment["VOICEMESH_USER_VOICE_ADDRESS"] == "127.0.0.1:8082"
    assert processes["user"].environment["VOICEMESH_USER_STORAGE_ADDRESS"] == "127.0.0.1:8083"
    assert processes["voice"].environment["VOICEMESH_VOICE_STORAGE_ADDRESS"] == "127.0.0.1:8083"
    assert processes["gateway"].environment["VOICEMESH_GATEWAY_AUTH_ADDRESS"] == "127.0.0.1:8081"


def test_the_worker_is_a_peer_of_its_own_on_the_database_of_voice(
    processes: dict[str, Process], tmp_path: Path
) -> None:
    environment = processes["worker"].environment

    assert environment["VOICEMESH_VOICE_TLS"] == str(tmp_path / "worker")
    assert environment["VOICEMESH_VOICE_DATABASE_URL"] == "postgresql:///voicemesh_voice"
    assert processes["worker"].command[-1] == "services.voice.worker"


def test_secrets_are_kept_between_runs_and_known_to_their_service_only(tmp_path: Path) -> None:
    first, second = made(tmp_path, {}), made(tmp_path, {})
    name = "VOICEMESH_AUTH_KEY_ENCRYPTION_KEY"

    assert first["auth"].environment[name] == second["auth"].environment[name]
    assert [process.name for process in first.values() if name in process.environment] == ["auth"]


def test_a_setting_of_one_service_is_not_told_to_others(processes: dict[str, Process]) -> None:
    knowing = [name for name, process in processes.items() if "VOICEMESH_VOICE_QUOTA" in process.environment]

    assert knowing == ["voice", "worker"]


def test_a_database_of_the_persons_own_is_used(tmp_path: Path) -> None:
    own = {f"VOICEMESH_{name.upper()}_DATABASE_URL": f"postgresql://own/{name}" for name in topology.WITH_DATABASE}

    assert made(tmp_path, own)["auth"].environment["VOICEMESH_AUTH_DATABASE_URL"] == "postgresql://own/auth"
    assert not Layout(environment=own).needs_database()
    assert Layout(environment={**own, "VOICEMESH_USER_DATABASE_URL": ""}).needs_database()
