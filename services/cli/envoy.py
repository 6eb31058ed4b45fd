"""voicemesh envoy: the configuration of Envoy, for settings where something else runs it."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.edge import BurstOption, CorsOption, ProxiesOption, RateOption, SignInsOption, TlsOption
from services.cli.terminal import plainly
from services.local.edge import Manners
from services.local.errors import LocalError

app = typer.Typer(help="Envoy's configuration, for compose and Kubernetes.", no_args_is_help=True)


@app.callback()
def envoy() -> None:
    """Keeps `config` a command of its own: with one command only, typer would leave its name out."""


def address(text: str) -> tuple[str, int]:
    """`host:port` as a pair."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise LocalError(f"{text!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


@app.command()
@plainly
def config(
    certificates: Annotated[
        Path, typer.Option(envvar="VOICEMESH_ENVOY_CERTIFICATES", help="Envoy's folder: tls.crt, tls.key, ca.crt.")
    ],
    listen: Annotated[str, typer.Option(envvar="VOICEMESH_ENVOY_LISTEN", help="host:port")] = "0.0.0.0:8080",
    admin: Annotated[
        str, typer.Option(envvar="VOICEMESH_ENVOY_ADMIN", help="host:port of the admin interface; empty for none.")
    ] = "",
    auth: Annotated[str, typer.Option(envvar="VOICEMESH_ENVOY_AUTH_ADDRESS", help="host:port")] = "auth:8081",
    voice: Annotated[str, typer.Option(envvar="VOICEMESH_ENVOY_VOICE_ADDRESS", help="host:port")] = "voice:8082",
    storage: Annotated[str, typer.Option(envvar="VOICEMESH_ENVOY_STORAGE_ADDRESS", help="host:port")] = "storage:8083",
    user: Annotated[str, typer.Option(envvar="VOICEMESH_ENVOY_USER_ADDRESS", help="host:port")] = "user:8084",
    gateway: Annotated[str, typer.Option(envvar="VOICEMESH_ENVOY_GATEWAY_ADDRESS", help="host:port")] = "gateway:8090",
    tls: TlsOption = None,
    cors_origin: CorsOption = None,
    rate_per_second: RateOption = None,
    rate_burst: BurstOption = None,
    sign_ins_per_minute: SignInsOption = None,
    trusted_proxies: ProxiesOption = None,
    access_log: Annotated[
        str, typer.Option(envvar="VOICEMESH_ENVOY_ACCESS_LOG", help="A file for a line per request.")
    ] = "/dev/stdout",
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write envoy.yaml and the files of its certificates into this folder, which Envoy must see "
            "under the same path; without it, envoy.yaml is printed."
        ),
    ] = None,
) -> None:
    """Write or print the configuration for these addresses."""
    from services.local import envoy

    manners = Manners(
        tls=tls,
        cors_origins=cors_origin or None,
        rate_per_second=rate_per_second,
        rate_burst=rate_burst,
        sign_ins_per_minute=sign_ins_per_minute,
        trusted_proxies=trusted_proxies,
    )
    services = {"auth": auth, "voice": voice, "storage": storage, "user": user, "gateway": gateway}
    addresses = {name: address(where) for name, where in services.items()}
    edge, control = address(listen), address(admin) if admin else None
    if output is not None:
        envoy.write(
            output,
            certificates=certificates,
            listen=edge,
            services=addresses,
            admin=control,
            access_log=access_log,
            **manners.given(),
        )
        return
    rest = {**manners.given(), "tls": tls is not None}
    secrets = Path("/etc/envoy")
    text = envoy.render(listen=edge, services=addresses, secrets=secrets, admin=control, access_log=access_log, **rest)
    typer.echo(text)
