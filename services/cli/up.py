"""voicemesh up: the whole mesh in the foreground."""

import asyncio
from typing import Annotated

import typer

from services.cli.edge import BurstOption, CorsOption, ProxiesOption, RateOption, SignInsOption, TlsOption
from services.cli.models import folder_of_models, prepare
from services.cli.terminal import StateOption, plainly, say
from services.local import foreground, state, topology
from services.local.edge import Manners
from services.local.topology import Layout


def option(service: str) -> typer.models.OptionInfo:
    """The option for the port of one service."""
    offset = topology.OFFSETS[service]
    option: typer.models.OptionInfo = typer.Option(
        f"--{service}-port",
        envvar=f"VOICEMESH_{service.upper()}_PORT",
        min=1,
        max=65535,
        show_default=f"base + {offset}",
        help=f"The port of {service}.",
        rich_help_panel="Ports inside",
    )
    return option


@plainly
def up(
    folder: StateOption = None,
    port: Annotated[
        int, typer.Option(envvar="VOICEMESH_PORT", min=1, max=65535, help="The one port that callers use.")
    ] = topology.EDGE_PORT,
    bind: Annotated[str, typer.Option(envvar="VOICEMESH_BIND", help="The address to listen on.")] = "127.0.0.1",
    tls: TlsOption = None,
    cors_origin: CorsOption = None,
    rate_per_second: RateOption = None,
    rate_burst: BurstOption = None,
    sign_ins_per_minute: SignInsOption = None,
    trusted_proxies: ProxiesOption = None,
    service_port_base: Annotated[
        int,
        typer.Option(
            envvar="VOICEMESH_SERVICE_PORT_BASE",
            min=1,
            max=65000,
            help="The services' ports count from here.",
            rich_help_panel="Ports inside",
        ),
    ] = topology.EDGE_PORT,
    auth_port: Annotated[int | None, option("auth")] = None,
    voice_port: Annotated[int | None, option("voice")] = None,
    storage_port: Annotated[int | None, option("storage")] = None,
    user_port: Annotated[int | None, option("user")] = None,
    gateway_port: Annotated[int | None, option("gateway")] = None,
    admin_port: Annotated[
        int | None,
        typer.Option(
            envvar="VOICEMESH_ADMIN_PORT",
            min=1,
            max=65535,
            show_default="a free one",
            help="The port of Envoy's admin interface.",
            rich_help_panel="Ports inside",
        ),
    ] = None,
) -> None:
    """Run the whole mesh in the foreground: PostgreSQL, the services, the worker and Envoy. Ctrl-C stops it.

    Set VOICEMESH_<SERVICE>_DATABASE_URL to use a PostgreSQL of your own.
    """
    chosen = {
        "auth": auth_port,
        "voice": voice_port,
        "storage": storage_port,
        "user": user_port,
        "gateway": gateway_port,
    }
    services = topology.at_base(service_port_base) | {name: number for name, number in chosen.items() if number}
    manners = Manners(
        tls=tls,
        cors_origins=cors_origin or None,
        rate_per_second=rate_per_second,
        rate_burst=rate_burst,
        sign_ins_per_minute=sign_ins_per_minute,
        trusted_proxies=trusted_proxies,
    )
    layout = Layout(bind=bind, port=port, services=services, admin=admin_port or 0, manners=manners)
    prepare(folder_of_models())
    asyncio.run(foreground.run(state.at(folder), layout, report=say))
