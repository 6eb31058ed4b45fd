"""What the gateway is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from importlib import import_module

from limits import parse
from voicemesh.gateway.v1 import external_auth_pb2_grpc, rate_limit_pb2_grpc

from services.gateway import surface
from services.gateway.checks import Checks
from services.gateway.counters import SharedCounter
from services.gateway.keys import Keys
from services.gateway.limit_servicer import RateLimitServicer
from services.gateway.limits import Budget, Limits, Policy, Rate
from services.gateway.published import CONTRACT, PublishedKeys
from services.gateway.servicer import AuthorizationServicer
from services.gateway.settings import Settings
from services.gateway.tokens import Verifier
from services.mesh.channels import open_channel
from services.mesh.server import Application, Servicer


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[Application]:
    """Opens what the service needs in order, and closes it in reverse; auth need not be there yet."""
    shown = surface.read()
    async with open_channel(settings.auth_address, "auth", CONTRACT, settings.tls) as channel:
        published = PublishedKeys(channel, timeout_seconds=settings.keys_timeout_seconds)
        keys = Keys(published.fetch, refetch_seconds=settings.keys_refetch_seconds)
        verifier = Verifier(keys, leeway_seconds=settings.leeway_seconds, remembered=settings.cached_tokens)
        servicer = AuthorizationServicer(Checks(shown, foreign=settings.foreign, verify=verifier.verify))
        store = settings.limits_store
        limits = Limits(
            _policies(settings),
            budgets=_budgets(shown, settings.foreign),
            counter=SharedCounter(store.get_secret_value() if store else None),
        )
        limiter = RateLimitServicer(limits)
        fresh = asyncio.create_task(keys.keep_fresh(settings.keys_refresh_seconds))
        try:
            yield Application(
                servicers=[
                    Servicer(
                        "envoy.service.auth.v3.Authorization",
                        lambda server: external_auth_pb2_grpc.add_AuthorizationServicer_to_server(servicer, server),
                        foreign=True,
                    ),
                    Servicer(
                        "envoy.service.ratelimit.v3.RateLimitService",
                        lambda server: rate_limit_pb2_grpc.add_RateLimitServiceServicer_to_server(limiter, server),
                        foreign=True,
                    ),
                ],
                pings={"keys": keys.ping},
                reflected=_reflected(shown),
            )
        finally:
            fresh.cancel()
            with suppress(asyncio.CancelledError):
                await fresh


def _policies(settings: Settings) -> list[Policy]:
    """The limits that the settings set."""
    found = []
    for name, rate, costly, of_key in (
        ("user", settings.user_rate, False, False),
        ("user-costly", settings.user_costly_rate, True, False),
        ("key", settings.key_rate, False, True),
        ("key-costly", settings.key_costly_rate, True, True),
    ):
        if rate:
            item = parse(rate)
            found.append(Policy(name, Rate(item.amount, item.get_expiry()), costly=costly, of_key=of_key))
    return found


def _budgets(shown: surface.Surface, foreign: Iterable[str]) -> dict[str, Budget]:
    """How each method counts; what anyone may call of contracts that are not ours does not."""
    ours = {method.path: Budget(method.rule.budget) for method in shown.exposed}
    return ours | dict.fromkeys(foreign, Budget.FREE)


def _reflected(shown: surface.Surface) -> list[str]:
    """The services that reflection tells of: all that the edge exposes, here or not."""
    for module in sorted(shown.modules):
        import_module(module)  # So that the pool has what it describes.
    return [*shown.contracts, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"]
