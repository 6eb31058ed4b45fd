"""docker-compose.yml fits the code: its processes, their settings, who sees what, and what Envoy is told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import os
import re
import subprocess
import sysconfig
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer.main
import yaml
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.local import certificates as authority
from services.local import topology
from services.local.postgres import Postgres
from services.mesh.settings import MeshSettings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVICES = tuple(topology.OFFSETS)
PYTHON = (*SERVICES, "worker")
STEPS = ("setup", "databases", "configuration")
OWN = "/run/voicemesh"

each_service = pytest.mark.parametrize("service", SERVICES)
each_process = pytest.mark.parametrize("process", PYTHON)
each_container = pytest.mark.parametrize("container", CONTAINERS)


@pytest.fixture(scope="module")
def prepare():
    """deploy/compose/prepare.py, which no package holds."""
    spec = importlib.util.spec_from_file_location("prepare", ROOT / "deploy" / "compose" / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def prepared(prepare, tmp_path: Path) -> Path:
    """What `setup` makes."""
    authority.ensure(tmp_path)
    (tmp_path / "postgres").mkdir()
    prepare.secrets(tmp_path)
    return tmp_path


def secrets(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text().strip() for file in (folder / "secrets").iterdir()}


def settings(service: str) -> type[MeshSettings]:
    found: type[MeshSettings] = import_module(f"services.{service}.settings").Settings
    return found


def mounts(container: str) -> dict[str, tuple[str, str]]:
    """Where a container sees what: path to volume and mode."""
    parts = [text.split(":") for text in CONTAINERS[container].get("volumes", ())]
    return {path: (volume, "".join(mode)) for volume, path, *mode in parts}


def service_of(process: str) -> str:
    return "voice" if process == "worker" else process


def test_every_process_of_the_mesh_is_there() -> None:
    assert set(CONTAINERS) == {*topology.ALL, "postgres", "renewal", *STEPS}


@each_process
def test_each_process_runs_its_module(process: str) -> None:
    module = {"worker": "services.voice.worker"}.get(process, f"services.{process}")

    assert CONTAINERS[process]["command"] == ["python", "-m", module]
    assert importlib.util.find_spec(module) is not None


def test_only_envoy_publishes_a_port_and_that_on_this_machine_alone() -> None:
    published = {name: container["ports"] for name, container in CONTAINERS.items() if "ports" in container}

    assert published == {"envoy": ["${VOICEMESH_BIND:-127.0.0.1}:${VOICEMESH_PORT:-8080}:8080"]}


@each_container
def test_no_container_may_more_than_it_needs(container: str) -> None:
    told = CONTAINERS[container]

    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert told["read_only"] is True
    assert told.get("network_mode") in (None, "none")
    assert "cap_add" not in told or container == "postgres"
    assert not {"privileged", "pid", "ipc", "devices", "env_file"} & set(told)
    assert told["restart"] == ("on-failure:3" if container in STEPS else "unless-stopped")


def test_no_process_runs_as_root() -> None:
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert CONTAINERS["envoy"]["user"] == "10001:10001"


@each_container
def test_no_secret_is_in_the_file(container: str) -> None:
    known = {name for service in SERVICES for name in secret_settings(service)}
    environment = CONTAINERS[container].get("environment", {})

    assert not known & set(environment)
    assert not [name for name in environment if re.search("PASSWORD|SECRET|KEY|TOKEN", name)] or container == "postgres"
    assert all(name.endswith("_FILE") for name in environment if "PASSWORD" in name)


def secret_settings(service: str) -> set[str]:
    prefix = f"VOICEMESH_{service.upper()}_"
    fields = settings(service).model_fields.items()
    secret = {name for name, field in fields if field.is_required() and "SecretStr" in str(field.annotation)}
    return {prefix + name.upper() for name in secret}


@each_container
def test_each_container_sees_what_is_its_own(container: str) -> None:
    private = {"authority", *authority.PROCESSES, "postgres"}
    seen = {volume for volume, _ in mounts(container).values()} & private

    if container in ("setup", "renewal"):
        assert seen == private
    else:
        assert seen == {{"databases": "postgres", "configuration": "envoy"}.get(container, container)}
        assert mounts(container)[OWN][1] == ("" if container == "configuration" else "ro")


def test_every_folder_of_a_volume_is_in_the_image_and_belongs_to_its_user() -> None:
    made = set(re.findall(r"/(?:run|var/lib)/[\w/]+", DOCKERFILE.split("for folder in")[1].split("; do")[0]))
    used = {path for name in ("setup", "storage", "voice") for path in mounts(name)}

    assert used <= made


@each_process
def test_the_environment_and_the_secrets_are_the_settings_of_a_process(
    process: str, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith("VOICEMESH_"):
            monkeypatch.delenv(name)
    environment, kept = CONTAINERS[process]["environment"], secrets(prepared / process)
    for name, value in {**environment, **kept}.items():
        monkeypatch.setenv(name, str(value))
    kind = settings(service_of(process))
    prefix = kind.model_config["env_prefix"]

    read = kind()

    assert str(read.tls) == OWN
    assert {name.removeprefix(prefix).lower() for name in environment} <= set(kind.model_fields)
    assert secret_settings(service_of(process)) <= set(kept)


def test_each_secret_is_known_to_one_service_alone_and_stays(prepare, prepared: Path) -> None:
    before = {process: secrets(prepared / process) for process in PYTHON}
    prepare.secrets(prepared)

    after = {process: secrets(prepared / process) for process in PYTHON}
    values = [value for service in SERVICES for value in after[service].values()]

    assert after == before
    assert after["worker"] == after["voice"]
    assert len(values) == len(set(values))
    for file in prepared.rglob("secrets/*"):
        assert file.stat().st_mode & 0o077 == 0


@each_service
def test_each_service_listens_where_the_others_and_its_probe_look(service: str) -> None:
    prefix = f"VOICEMESH_{service.upper()}_"
    environment = CONTAINERS[service]["environment"]
    host, port = environment[f"{prefix}LISTEN"].split(":")
    address = f"{service}:{port}"
    probe = CONTAINERS[service]["healthcheck"]["test"]

    asked = {
        value
        for container in CONTAINERS.values()
        for name, value in container.get("environment", {}).items()
        if name.endswith(f"_{service.upper()}_ADDRESS")
    }

    assert host == "0.0.0.0"  # noqa: S104
    assert asked == {address}
    assert probe[:4] == ["CMD", "python", "-m", "services.mesh.probe"]
    assert probe[4:] == [environment[f"{prefix}HEALTH_LISTEN"], topology.CONTRACTS[service]]
    assert probe[4].startswith("127.0.0.1:")


@each_service
def test_who_needs_the_database_reaches_it_and_nobody_else_does(service: str) -> None:
    needs = service in topology.WITH_DATABASE

    assert ("data" in CONTAINERS[service]["networks"]) is needs
    assert ("databases" in CONTAINERS[service]["depends_on"]) is needs
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert "data" not in CONTAINERS["envoy"]["networks"]


def test_envoy_takes_the_configuration(prepared: Path, tmp_path: Path) -> None:
    step, folder = CONTAINERS["configuration"], tmp_path / "config"
    program, *words = step["command"]
    environment = {name: value for name, value in step["environment"].items() if value is not None}
    environment["VOICEMESH_ENVOY_CERTIFICATES"] = str(prepared / "envoy")

    made = CliRunner().invoke(app, [word.replace(f"{OWN}/config", str(folder)) for word in words], env=environment)
    envoy = Path(sysconfig.get_path("scripts")) / "envoy"
    run = subprocess.run([envoy, "--mode", "validate", "-c", folder / "envoy.yaml"], capture_output=True, text=True)

    assert (program, made.exit_code) == ("voicemesh", 0), made.output
    assert run.returncode == 0, run.stderr
    assert CONTAINERS["envoy"]["command"][:2] == ["--config-path", f"{OWN}/config/envoy.yaml"]
    assert mounts("envoy")[OWN][0] == mounts("configuration")[OWN][0]


def test_every_option_of_the_configuration_exists() -> None:
    commands: Any = typer.main.get_command(app)
    known = {option.envvar for option in commands.commands["envoy"].commands["config"].params}

    assert set(CONTAINERS["configuration"]["environment"]) <= known


@pytest.fixture
def peopled(prepare, prepared: Path, postgres: Postgres):
    """A server on which `databases` has run, twice."""
    for _ in range(2):
        prepare.databases(prepared / "postgres", str(postgres.socket))
    yield postgres
    for service in topology.WITH_DATABASE:
        postgres.drop(prepare.database(service))


def test_each_service_gets_into_its_own_database_and_no_other(peopled: Postgres) -> None:
    with psycopg.connect(peopled.url("voicemesh_auth")) as connection:
        connection.execute("CREATE TABLE t ()")

    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(peopled.url("voicemesh_voice", role="voicemesh_auth"))


def test_every_database_holds_all_of_unicode_whatever_the_server_speaks(peopled: Postgres) -> None:
    with psycopg.connect(peopled.url("postgres")) as connection:
        rows = connection.execute(
            "SELECT datname, pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname LIKE 'voicemesh%'"
        ).fetchall()

    assert sorted(rows) == sorted((f"voicemesh_{service}", "UTF8", "C") for service in topology.WITH_DATABASE)


def test_the_roles_passwords_are_those_of_the_services(peopled: Postgres, prepared: Path) -> None:
    with psycopg.connect(peopled.url("postgres")) as connection:
        stored = dict(connection.execute("SELECT rolname, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL"))

    for service in topology.WITH_DATABASE:
        url = secrets(prepared / service)[f"VOICEMESH_{service.upper()}_DATABASE_URL"]
        told = psycopg.conninfo.conninfo_to_dict(url)
        assert told["user"] == told["dbname"] == f"voicemesh_{service}"
        assert told["host"] == "postgres"
        assert matches(stored[str(told["user"])], str(told["password"]))


def matches(verifier: str, password: str) -> bool:
    """Whether a SCRAM-SHA-256 verifier is that of a password (RFC 5802)."""
    _, iterations, salt, stored, _ = re.split(r"[$:]", verifier)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    key = hmac.digest(salted, b"Client Key", "sha256")
    return hashlib.sha256(key).digest() == base64.b64decode(stored)


def test_the_image_is_built_of_pinned_packages_and_of_files_that_the_context_holds() -> None:
    installs = re.findall(r"pip [^&]*?\binstall\b(.*?)(?:&&|\n\n|\nFROM)", DOCKERFILE.replace("\\\n", " "), re.DOTALL)
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    allowed = [
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]

    assert installs
    for options in installs:
        assert "--require-hashes" in options or "--no-index" in options, options
    for source in (source for source in copied if not source.startswith("--")):
        assert any(source == name or source.startswith(f"{name}/") for name in allowed), source
        assert (ROOT / source).exists(), source


def test_every_target_that_is_built_exists() -> None:
    targets = set(re.findall(r"^FROM .+ AS (\w+)$", DOCKERFILE, re.MULTILINE))
    built = {container["build"]["target"] for container in CONTAINERS.values() if "build" in container}

    assert built == {"services", "voice"}
    assert built <= targets
    assert {name for name in PYTHON if CONTAINERS[name]["build"]["target"] == "voice"} == {"voice", "worker"}
