"""Access tokens that are always fresh.

An access token lives for minutes, a class for an hour. Whoever needs a token asks `current()`; when four fifths
of its life are over it is renewed first, by one caller at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from loadtest.api import AccountSeen, Api, Grant, Refusal
from services.kernel.clock import Clock

USED_UP: Final = 0.8
"""The part of a token's life after which it is renewed."""

Renewal = Callable[[Grant], Awaitable[Grant]]
"""Takes the newest grant, returns the next."""


class Tokens:
    """The tokens of one account, or of one display."""

    def __init__(self, clock: Clock, grant: Grant, renew: Renewal) -> None:
        self._clock = clock
        self._renew = renew
        self._lock = asyncio.Lock()
        self._take(grant)

    @property
    def account(self) -> AccountSeen | None:
        """Whose tokens these are; None for a display."""
        return self._grant.account

    def _take(self, grant: Grant) -> None:
        self._grant = grant
        self._good_until = self._clock.monotonic() + USED_UP * grant.expires_in_s

    def expired(self) -> None:
        """The server would not have the token any more, whatever our clock says."""
        self._good_until = self._clock.monotonic()

    async def current(self) -> str:
        """A token with life in it. Raises what the renewal raises."""
        if self._clock.monotonic() >= self._good_until:
            async with self._lock:
                if self._clock.monotonic() >= self._good_until:
                    renewed = await self._renew(self._grant)
                    self._take(msgspec.structs.replace(renewed, account=renewed.account or self._grant.account))
        return self._grant.access_token


class ByRefreshToken:
    """How an account renews its grant: by the refresh token, and by the password when that one is gone.

    A refresh whose answer was lost looks to the server like a stolen token, which ends the login; a client that
    still has the password then simply starts another.
    """

    def __init__(self, api: Api, email: str, password: str) -> None:
        self._api = api
        self._email = email
        self._password = password

    async def __call__(self, grant: Grant) -> Grant:
        if grant.refresh_token is not None:
            try:
                return await self._api.refresh(grant.refresh_token)
            except Refusal as refusal:
                if refusal.status != 401:
                    raise
        return await self._api.log_in(self._email, self._password)


class ByJoinCode:
    """How a display renews its grant: it knows the join code, and that is all its right."""

    def __init__(self, api: Api, code: str) -> None:
        self._api = api
        self._code = code

    async def __call__(self, _: Grant) -> Grant:
        display = await self._api.display(self._code)
        return Grant(access_token=display.access_token, expires_in_s=display.expires_in_s)
