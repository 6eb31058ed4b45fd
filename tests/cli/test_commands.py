"""The commands say plainly what they did, or in one line what they cannot do."""

import os
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.local import record, state

runner = CliRunner()


def test_help_names_the_commands() -> None:
    said = runner.invoke(app, ["--help"], env={"TERM": "dumb"}).output

    for command in ("up", "down", "status", "models", "certificates", "envoy"):
        assert command in said


def test_down_with_nothing_running_says_so(tmp_path: Path) -> None:
    result = runner.invoke(app, ["down", "--state", str(tmp_path)])

    assert (result.exit_code, result.output) == (0, f"nothing runs on {tmp_path}\n")


def test_status_with_nothing_running_exits_with_3(tmp_path: Path) -> None:
    result = runner.invoke(app, ["status"], env={"VOICEMESH_STATE": str(tmp_path)})

    assert (result.exit_code, result.output) == (3, f"nothing runs on {tmp_path}\n")


def test_certificates_are_made_where_asked(tmp_path: Path) -> None:
    result = runner.invoke(app, ["certificates", str(tmp_path / "tls")])

    assert result.exit_code == 0
    assert (tmp_path / "tls" / "envoy" / "tls.crt").exists()


def test_up_on_a_taken_port_says_who_holds_it_and_leaves_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = runner.invoke(app, ["up", "--state", str(tmp_path), "--port", str(port)])

    said = result.stderr
    assert result.exit_code == 1
    assert f"port {port} for envoy is taken by" in said
    assert f"(pid {os.getpid()}): choose another with --port" in said
    assert not (tmp_path / "postgres").exists()


@pytest.mark.parametrize("address", ["nowhere", "host:", ":8081", "host:0", "host:99999"])
def test_envoy_config_refuses_what_is_no_address(address: str) -> None:
    result = runner.invoke(app, ["envoy", "config", "--certificates", "/tls", "--auth", address])

    assert result.exit_code == 1
    assert "is not host:port" in result.stderr


def test_erase_removes_a_state(tmp_path: Path) -> None:
    place = state.at(tmp_path / "state")
    place.secret("one")
    result = runner.invoke(app, ["erase", "--yes", "--state", str(place.folder)])

    assert result.exit_code == 0
    assert not place.folder.exists()


def test_erase_leaves_what_is_not_the_states(tmp_path: Path) -> None:
    place = state.at(tmp_path / "state")
    other = state.at(place.folder / "other")
    (place.folder / "letter").write_text("mine")
    result = runner.invoke(app, ["erase", "--yes", "--state", str(place.folder)])

    assert result.exit_code == 0
    assert not place.secrets.exists()
    assert other.secrets.exists()
    assert (place.folder / "letter").read_text() == "mine"


def test_erase_asks_first(tmp_path: Path) -> None:
    place = state.at(tmp_path / "state")
    result = runner.invoke(app, ["erase", "--state", str(place.folder)], input="n\n")

    assert result.exit_code == 1
    assert place.secrets.exists()


def test_erase_leaves_alone_what_is_no_state(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    result = runner.invoke(app, ["erase", "--yes", "--state", str(tmp_path)])

    assert result.exit_code == 1
    assert (tmp_path / "letters").exists()


def test_erase_refuses_a_running_mesh(tmp_path: Path) -> None:
    place = state.at(tmp_path / "state")
    with record.hold(place):
        result = runner.invoke(app, ["erase", "--yes", "--state", str(place.folder)])

    assert result.exit_code == 1
    assert place.secrets.exists()
