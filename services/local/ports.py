"""Ports: finding free ones, and saying who holds one that is taken."""

import contextlib
import errno
import socket
from dataclasses import dataclass

import psutil

from services.local.errors import LocalError, PortTakenError


@dataclass(frozen=True)
class Claim:
    """A port that a process of the mesh is about to listen on."""

    process: str
    host: str
    port: int
    flag: str
    """What the person changes to get another."""


def free(count: int, host: str = "127.0.0.1") -> list[int]:
    """So many different ports that nobody holds now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((host, 0))
        return [probe.getsockname()[1] for probe in probes]


def check(claims: list[Claim]) -> None:
    """Raises PortTakenError for the first port that cannot be had, in one line that says what to do."""
    seen: dict[int, Claim] = {}
    for claim in claims:
        if (other := seen.setdefault(claim.port, claim)) is not claim:
            raise PortTakenError(
                f"port {claim.port} is meant for both {other.process} and {claim.process}: {claim.flag}"
            )
        try:
            family, _, _, _, address = socket.getaddrinfo(claim.host, claim.port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family) as probe:
                # As servers do: connections that ended a minute ago do not hold the port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(
                    f"port {claim.port} for {claim.process} is taken by {holder(claim.port)}: {claim.flag}"
                ) from None
            raise LocalError(f"cannot listen on {claim.host}:{claim.port} for {claim.process}: {error}") from None


def holder(port: int) -> str:
    """The program that listens on a port, as far as this user may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr
            if listens and listens.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        pass
    return "another program"
