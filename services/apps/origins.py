"""Whose pages are those of an app: the origins of the redirect URIs that apps are registered with.

A browser asks us whether a page of somebody else may read our answers (CORS), and whether it may have a socket. A page of an
app may. Nothing hangs on that answer alone: what such a page can reach is opened by a token that it must have been given, and
by no cookie. The rule keeps it known who reads us from a browser: somebody with an account has registered them, and can be
told to stop.

Asking must cost little, since anybody can claim any origin. An answer is believed for `BELIEVED_S`, so on every node an app
that is deleted or changed takes its pages' right along within five seconds, whether or not nodes hear each other. Of many
questions at once about one origin, one is asked. And each address has so many lookups (`ORIGIN`); beyond them an origin
counts as unknown.
"""

import asyncio
from collections import OrderedDict
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from services.accounts.attempts import network_of
from services.apps.app import is_origin
from services.apps.lent import BELIEVED_S
from services.apps.ports import StandingTransactions
from services.kernel.clock import Clock
from services.limits.limits import Limits
from services.limits.table import ORIGIN

MAX_KNOWN: Final = 5_000
"""Answers kept on a node. Full means: the one that was asked for longest ago goes, and is asked for again when it is needed."""


class _Known(NamedTuple):
    is_an_apps: bool
    until: float


class Origins:
    """See the module."""

    def __init__(self, transactions: StandingTransactions, limits: Limits, clock: Clock) -> None:
        self.asked = 0
        self._transactions: Final = transactions
        self._limits: Final = limits
        self._clock: Final = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._known)

    def holds(self, origin: str) -> bool:
        """Whether `origin` is known to be an app's. Asks nobody: False as well when it is not known."""
        known = self._fresh(origin)
        return known is not None and known.is_an_apps

    async def of_an_app(self, origin: str, address: str | None) -> bool:
        """Whether `origin` is one of an app that there is; `address` is where the question comes from. Raises Unavailable."""
        if not is_origin(origin):
            return False
        known = self._fresh(origin)
        if known is not None:
            return known.is_an_apps
        lock = self._asking.get(origin)
        if lock is None:
            lock = self._asking[origin] = asyncio.Lock()
        async with lock:
            known = self._fresh(origin)
            if known is not None:
                return known.is_an_apps
            if address is not None and not (await self._limits.take(ORIGIN, network_of(address))).passed:
                return False
            return await self._ask(origin)

    async def _ask(self, origin: str) -> bool:
        self.asked += 1
        # Believed from before the question on: what changes while it is on its way must not count as heard later.
        until = self._clock.monotonic() + BELIEVED_S
        async with self._transactions() as stores:
            found = await stores.apps.has_origin(origin)
        self._known[origin] = _Known(found, until)
        self._known.move_to_end(origin)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return found

    def _fresh(self, origin: str) -> _Known | None:
        known = self._known.get(origin)
        return known if known is not None and self._clock.monotonic() < known.until else None
