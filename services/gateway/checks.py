"""The rules of the edge: who needs a credential, and what becomes of a bad one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from services.gateway.surface import Surface
from services.gateway.tokens import Claims
from services.mesh import errors

Verify = Callable[[str], Awaitable[Claims]]


@dataclass(frozen=True)
class Request:
    """What of a request decides."""

    verb: str
    path: str
    """With its query, as it was sent."""
    authorization: str | None
    """The header, None if there is none."""


class Checks:
    """Decides one request after the other.

    Public are exactly the requests that the contracts say are, letter by letter: a path with another
    case, a trailing slash or an escaped character is not, and needs a credential like everything else.
    """

    def __init__(self, surface: Surface, *, foreign: Iterable[str], verify: Verify) -> None:
        self._public = surface.public | {("POST", path) for path in foreign}
        self._hidden = surface.hidden
        self._verify = verify

    async def check(self, request: Request) -> Claims | None:
        """Who is calling, None for anyone.

        Raises:
            Unauthenticated: a credential is needed (CREDENTIALS_MISSING) or the one shown is bad
                (TOKEN_INVALID, TOKEN_EXPIRED), even where none is needed.
            NotFound: the method is for the inside of the mesh only (NO_SUCH_METHOD).
            Unavailable: a credential cannot be verified now.
        """
        path = request.path.partition("?")[0]
        claims = await self._claims(request.authorization)
        if claims is None and (request.verb, path) not in self._public:
            raise errors.Unauthenticated("CREDENTIALS_MISSING", "sign in first: send an access token")
        if path in self._hidden:
            raise errors.NotFound("NO_SUCH_METHOD", "nothing is served here")
        return claims

    async def _claims(self, authorization: str | None) -> Claims | None:
        if not authorization:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise errors.Unauthenticated("TOKEN_INVALID", "send the access token as `Authorization: Bearer <token>`")
        return await self._verify(token.strip())
