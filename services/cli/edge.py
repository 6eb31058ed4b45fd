"""What can be said of the edge, wherever its configuration is made."""

from pathlib import Path
from typing import Annotated

import typer

TlsOption = Annotated[
    Path | None,
    typer.Option(envvar="VOICEMESH_ENVOY_TLS", help="Speak HTTPS to clients: a folder with tls.crt and tls.key."),
]
CorsOption = Annotated[
    list[str] | None, typer.Option(envvar="VOICEMESH_ENVOY_CORS_ORIGINS", help="Whose pages may call.")
]
RateOption = Annotated[
    int | None,
    typer.Option(envvar="VOICEMESH_ENVOY_RATE_PER_SECOND", min=1, help="Requests of one client address."),
]
BurstOption = Annotated[
    int | None,
    typer.Option(envvar="VOICEMESH_ENVOY_RATE_BURST", min=1, help="Requests of one client address at once."),
]
SignInsOption = Annotated[
    int | None,
    typer.Option(
        envvar="VOICEMESH_ENVOY_SIGN_INS_PER_MINUTE",
        min=1,
        max=1000,
        help="How often one client address may try to sign in or register.",
    ),
]
ProxiesOption = Annotated[
    int | None,
    typer.Option(
        envvar="VOICEMESH_ENVOY_TRUSTED_PROXIES",
        min=0,
        max=10,
        help="How many proxies of yours stand before Envoy and add to x-forwarded-for.",
    ),
]
