"""Envoy as a process of the local mesh: its configuration written, its start, its drain."""

import asyncio
import datetime
import functools
import re
import shutil
import sysconfig
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from services.local import authority, certificates
from services.local.child import Process
from services.local.errors import LocalError
from services.local.state import State

DRAIN_SECONDS = 5.0
ACTIVE = re.compile(r"^http\.(?!admin\.).*downstream_rq_active: (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Manners:
    """How the edge treats its callers; None leaves Envoy's configuration its default."""

    tls: Path | None = None
    """The folder with `tls.crt` and `tls.key` that clients see; without one the edge speaks plain HTTP."""
    cors_origins: Sequence[str] | None = None
    rate_per_second: int | None = None
    rate_burst: int | None = None
    sign_ins_per_minute: int | None = None
    trusted_proxies: int | None = None
    """How many proxies before Envoy add a caller's address to x-forwarded-for."""

    def given(self) -> dict[str, Any]:
        """Those that are not None."""
        return {name: value for name, value in vars(self).items() if value is not None}


def process(
    *,
    manners: Manners,
    listen: tuple[str, int],
    services: Mapping[str, tuple[str, int]],
    admin: tuple[str, int],
    tls: Path,
    state: State,
    environment: Mapping[str, str],
) -> Process:
    """Envoy for these services, with its configuration written."""
    # Here and not above: it reads the contracts, which `down` and `status` have no use for.
    from services.local import envoy

    if manners.tls is not None:
        check(manners.tls)
    configuration = envoy.write(
        state.envoy,
        certificates=tls,
        listen=listen,
        services=services,
        admin=admin,
        access_log=str(state.logs / "access.log"),
        # Envoy runs in another folder.
        **{**manners.given(), **({"tls": manners.tls.absolute()} if manners.tls else {})},
    )
    address = f"http://{admin[0]}:{admin[1]}"
    return Process(
        name="envoy",
        command=(str(executable("envoy")), "-c", str(configuration), "--disable-hot-restart"),
        environment=environment,
        log=state.logs / "envoy.log",
        folder=state.folder,
        probe=f"{address}/ready",
        address=f"{listen[0]}:{listen[1]}",
        stage=0,
        farewell=functools.partial(drain, address),
    )


def check(folder: Path) -> None:
    """Lets pass if the folder has a certificate that is good today, with its key: Envoy would wait for one for ever.

    Raises LocalError.
    """
    certificate = authority.read(folder / "tls.crt")
    if certificate is None:
        raise LocalError(f"{folder / 'tls.crt'} is no certificate in PEM")
    if not certificates.belongs(folder / "tls.key", certificate):
        raise LocalError(f"{folder / 'tls.key'} is not the unencrypted key of {folder / 'tls.crt'}")
    now = datetime.datetime.now(datetime.UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise LocalError(
            f"{folder / 'tls.crt'} is good only until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        )


async def connected(admin: str, services: Collection[str], limit: float) -> None:
    """Waits until Envoy itself has found each of these services healthy: until then it refuses calls to it.

    `admin` is the base URL of its admin interface, `limit` is in seconds. Raises LocalError.
    """
    deadline = asyncio.get_running_loop().time() + limit
    # Not through a proxy of the person's environment: it is on this machine.
    async with httpx.AsyncClient(base_url=admin, timeout=DRAIN_SECONDS, trust_env=False) as client:
        while missing := set(services) - await healthy(client):
            if asyncio.get_running_loop().time() > deadline:
                raise LocalError(f"envoy does not reach {', '.join(sorted(missing))}")
            await asyncio.sleep(0.1)


async def healthy(client: httpx.AsyncClient) -> set[str]:
    """The services that Envoy finds healthy now, by its admin interface."""
    try:
        clusters = (await client.get("/clusters", params={"format": "json"})).json()["cluster_statuses"]
    except httpx.HTTPError:
        return set()
    hosts = [(cluster["name"], host) for cluster in clusters for host in cluster.get("host_statuses", ())]
    return {name for name, host in hosts if not host["health_status"].keys() - {"eds_health_status"}}


async def drain(admin: str) -> None:
    """Takes no new connections, and gives the answers under way a few seconds to finish."""
    # Not through a proxy of the person's environment: it is on this machine.
    async with httpx.AsyncClient(base_url=admin, timeout=DRAIN_SECONDS, trust_env=False) as client:
        await client.post("/drain_listeners")
        deadline = asyncio.get_running_loop().time() + DRAIN_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            counters = (await client.get("/stats", params={"filter": "downstream_rq_active"})).text
            if not any(map(int, ACTIVE.findall(counters))):
                return
            await asyncio.sleep(0.1)


def executable(name: str) -> Path:
    """A console script of this environment."""
    beside = Path(sysconfig.get_path("scripts")) / name
    if beside.exists():
        return beside
    if (found := shutil.which(name)) is None:
        raise LocalError(f"{name} is not installed: run `make setup`")
    return Path(found)
