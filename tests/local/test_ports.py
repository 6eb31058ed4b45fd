"""A port that is taken is named, with its holder and the way out."""

import os
import socket

import pytest

from services.local import ports
from services.local.errors import LocalError, PortTakenError
from services.local.ports import Claim
from services.local.topology import Layout, at_base


def test_a_taken_port_is_reported_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTakenError) as raised:
            ports.check([Claim("envoy", "127.0.0.1", port, "choose another with --port")])

    said = str(raised.value)
    assert f"port {port} for envoy is taken by" in said
    assert f"(pid {os.getpid()})" in said
    assert said.endswith(": choose another with --port")
    assert "\n" not in said


def test_a_port_is_not_given_to_two() -> None:
    [port] = ports.free(1)

    with pytest.raises(PortTakenError, match="for both auth and voice"):
        ports.check([Claim("auth", "127.0.0.1", port, ""), Claim("voice", "127.0.0.1", port, "")])


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(LocalError, match=r"cannot listen on 192\.0\.2\.1"):
        ports.check([Claim("envoy", "192.0.2.1", 8080, "")])


def test_ports_just_left_are_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            client.recv(1)

    ports.check([Claim("envoy", "127.0.0.1", port, "")])


def test_free_ports_differ() -> None:
    assert len(set(ports.free(20))) == 20


def test_a_layout_of_zeros_gets_free_ports() -> None:
    layout = Layout(port=0, services=dict.fromkeys(at_base(0), 0)).settled()

    taken = [layout.port, layout.admin, *layout.services.values()]
    assert 0 not in taken
    assert len(set(taken)) == len(taken)
    ports.check(layout.claims())
