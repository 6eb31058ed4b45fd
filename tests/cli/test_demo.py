"""The demo says in one line why a mesh that should run already does not serve it."""

import pytest

from services.cli import demo
from services.local.errors import LocalError


@pytest.mark.parametrize("address", ["nonsense", "ftp://127.0.0.1", "http://127.0.0.1:port"])
async def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(LocalError, match="is no address of a mesh"):
        await demo.journey(address, "me.wav", b"", "Hello.")


async def test_a_mesh_that_does_not_answer_is_named(free_port) -> None:
    address = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(LocalError, match=f"{address} does not answer"):
        await demo.journey(address, "me.wav", b"", "Hello.")
