"""When keys are fetched, and what happens when they cannot be."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.gateway.keys import Keys
from services.mesh import errors


class Auth:
    """Publishes keys, or is down."""

    def __init__(self) -> None:
        self.keys: dict[str, Ed25519PublicKey] = {}
        self.up = True
        self.asked = 0
        self.now = 100.0
        self.add("first")

    def add(self, kid: str) -> None:
        self.keys = {**self.keys, kid: Ed25519PrivateKey.generate().public_key()}

    async def fetch(self) -> dict[str, Ed25519PublicKey]:
        self.asked += 1
        await asyncio.sleep(0)
        if not self.up:
            raise errors.Unavailable("KEYS_UNAVAILABLE", "down")
        return self.keys

    def clock(self) -> float:
        return self.now


@pytest.fixture
def auth() -> Auth:
    return Auth()


@pytest.fixture
def keys(auth: Auth) -> Keys:
    return Keys(auth.fetch, refetch_seconds=5, clock=auth.clock)


async def test_a_known_key_is_at_hand(auth: Auth, keys: Keys) -> None:
    await keys.refresh()

    assert await keys.get("first") is auth.keys["first"]
    assert auth.asked == 1


async def test_the_first_key_is_fetched_when_it_is_needed(auth: Auth, keys: Keys) -> None:
    assert await keys.get("first") is auth.keys["first"]


async def test_a_new_key_is_fetched_at_once(auth: Auth, keys: Keys) -> None:
    await keys.refresh()
    auth.add("second")
    auth.now += 6

    assert await keys.get("second") is auth.keys["second"]
    assert auth.asked == 2


async def test_unknown_keys_do_not_keep_auth_busy(auth: Auth, keys: Keys) -> None:
    await keys.refresh()
    auth.now += 6

    answers = await asyncio.gather(*(keys.get(f"made-up-{number}") for number in range(100)))

    assert answers == [None] * 100
    assert auth.asked == 2
    auth.now += 6
    assert await keys.get("made-up") is None
    assert auth.asked == 3


async def test_keys_are_kept_when_auth_is_down(auth: Auth, keys: Keys) -> None:
    await keys.refresh()
    auth.up = False
    with pytest.raises(errors.Unavailable):
        await keys.refresh()

    assert await keys.get("first") is auth.keys["first"]
    await keys.ping()


async def test_an_unknown_key_cannot_be_decided_when_auth_is_down(auth: Auth, keys: Keys) -> None:
    await keys.refresh()
    auth.up = False
    auth.now += 6

    for _ in range(3):
        with pytest.raises(errors.Unavailable):
            await keys.get("second")
    assert auth.asked == 2

    auth.up = True
    auth.now += 6
    assert await keys.get("second") is None


async def test_nothing_can_be_decided_before_the_first_fetch(auth: Auth, keys: Keys) -> None:
    auth.up = False

    with pytest.raises(errors.Unavailable):
        await keys.get("first")
    with pytest.raises(errors.Unavailable):
        await keys.ping()


async def test_a_withdrawn_key_is_no_key(auth: Auth, keys: Keys) -> None:
    await keys.refresh()
    before = keys.generation
    auth.keys = {}
    await keys.refresh()

    assert await keys.get("first") is None
    assert keys.generation == before + 1


async def test_the_same_keys_change_nothing(auth: Auth, keys: Keys) -> None:
    await keys.refresh()
    before = keys.generation
    auth.keys = {kid: Ed25519PublicKey.from_public_bytes(key.public_bytes_raw()) for kid, key in auth.keys.items()}
    await keys.refresh()

    assert keys.generation == before


async def test_keys_are_fetched_again_and_again(auth: Auth, keys: Keys) -> None:
    fetched = asyncio.create_task(keys.keep_fresh(0.001))
    try:
        async with asyncio.timeout(10):
            while auth.asked < 3:
                await asyncio.sleep(0.001)
            auth.add("second")
            while keys.generation < 2:
                await asyncio.sleep(0.001)
    finally:
        fetched.cancel()

    assert await keys.get("second") is auth.keys["second"]
