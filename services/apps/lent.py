"""Who shows a token that was lent: an app's access token, a key, or an access token of another issuer.

A person's access token is believed until it expires, without asking anybody. What was lent may be taken back, and then has to be
over within five seconds on every node, whether or not these can hear each other. So what stands behind it is asked of the database,
and the answer is believed for `BELIEVED_S`: one query per key and node in that time, however many requests come.

Anybody can make up keys, each of which would be a question. So the address that shows one pays for it (`Guesses`) before it is
asked about, unless this node has met the key as somebody's; and what nobody has is remembered apart, where it pushes out no caller.

A socket is opened once and then stays open, so there it is asked anew each time.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from services.accounts.attempts import network_of
from services.accounts.foreign_tokens import ForeignTokens
from services.apps import secret
from services.apps.ports import StandingTransactions
from services.kernel.caller import Caller
from services.kernel.clock import Clock, to_wall_ms, utc
from services.kernel.ids import AccountId, LoginId
from services.kernel.problems import NotAuthenticated, TokenExpired
from services.limits.limits import Limits
from services.limits.table import UNKNOWN_KEY

BELIEVED_S: Final = 4.0
"""Seconds. With what a request takes, taking back holds within five."""
MAX_KNOWN: Final = 10_000
"""Answers kept on a node. Full means: the one that was asked for longest ago goes, and is asked for again when it is needed."""
MAX_UNKNOWN: Final = 1_000
"""The same for what nobody has: a script that goes on with a key that was taken back is answered from here."""
USED_EVERY: Final = timedelta(hours=1)
"""How exactly it is noted when a key was last used."""
KEY_HOLDS_MS: Final = 24 * 3_600_000
"""A socket that was opened with a key that does not end by itself is good for so long; then it comes back with the same key."""


class _Known(NamedTuple):
    caller: Caller | None
    until: float


class Guesses:
    """What an address may ask about keys that may be made up. Only those are paid for that nobody has."""

    def __init__(self, limits: Limits, address: str) -> None:
        self._limits: Final = limits
        self._network: Final = network_of(address)

    async def paid(self, ask: Callable[[], Awaitable[Caller | None]]) -> Caller | None:
        """What `ask` answers. Raises RateLimited, without asking, when the address has guessed too often."""
        await self._limits.spend(UNKNOWN_KEY, self._network)
        wrong = False
        try:
            found = await ask()
            wrong = found is None
        finally:
            if not wrong:
                await self._limits.take(UNKNOWN_KEY, self._network, cost=-1)
        return found


class Callers:
    """Tells who shows a token of any kind. `identify` reads those that we have signed, `foreign` those of other issuers."""

    def __init__(
        self,
        identify: Callable[[str], Caller],
        transactions: StandingTransactions,
        clock: Clock,
        foreign: ForeignTokens | None = None,
    ) -> None:
        self.asked = 0
        self._identify: Final = identify
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._foreign: Final = foreign
        self._known: OrderedDict[LoginId | bytes, _Known] = OrderedDict()
        self._unknown: OrderedDict[LoginId | bytes, _Known] = OrderedDict()
        self._asking: WeakValueDictionary[LoginId | bytes, asyncio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._known) + len(self._unknown)

    def is_foreign(self, token: str) -> bool:
        """Whether a token says that it is of another issuer, which is trusted."""
        return self._foreign is not None and self._foreign.claims(token)

    def must_ask(self, token: str) -> bool:
        """Whether only the database knows who shows this token: it does not say so itself, or another issuer says so."""
        return token.startswith(secret.API_KEY) or self.is_foreign(token)

    async def identify(self, token: str, *, anew: bool = False, guesses: Guesses | None = None) -> Caller:
        """Who shows `token`; `anew`: whatever was heard lately; `guesses`: what pays for a key that nobody has. Raises
        NotAuthenticated, TokenExpired, RateLimited, Unavailable."""
        if self._foreign is not None and self._foreign.claims(token):
            return await self._of_other_issuer(self._foreign, token, anew=anew)
        if token.startswith(secret.API_KEY):
            return await self._with_key(token, anew=anew, guesses=guesses)
        caller = self._identify(token)
        if caller.scopes is not None:
            _required(await self._standing(caller.login_id, lambda: self._of_login(caller), anew=anew))
        return caller

    async def _with_key(self, token: str, *, anew: bool, guesses: Guesses | None) -> Caller:
        name = secret.hash_of(secret.API_KEY, token)
        if name is None:
            raise NotAuthenticated

        async def ask() -> Caller | None:
            if guesses is None or name in self._known:
                return await self._of_key(name)
            return await guesses.paid(lambda: self._of_key(name))

        found = _required(await self._standing(name, ask, anew=anew))
        if self._clock.wall_ms() >= found.expires_at_ms:
            raise TokenExpired("this key has ended; make a new one")
        return found

    async def _of_other_issuer(self, foreign: ForeignTokens, token: str, *, anew: bool) -> Caller:
        # What is refused raises, and so is not kept: whoever makes up tokens fills nothing.
        name = hashlib.sha256(token.encode()).digest()
        found = _required(await self._standing(name, lambda: self._of_foreign(foreign, token), anew=anew))
        if self._clock.wall_ms() >= found.expires_at_ms:
            raise TokenExpired("this access token has expired; get a new one where it is from")
        return found

    async def _standing(
        self, name: LoginId | bytes, ask: Callable[[], Awaitable[Caller | None]], *, anew: bool
    ) -> Caller | None:
        known = None if anew else self._fresh(name)
        if known is not None:
            return known.caller
        # Of many requests at once, one asks and the others hear its answer.
        lock = self._asking.get(name)
        if lock is None:
            lock = self._asking[name] = asyncio.Lock()
        async with lock:
            known = None if anew else self._fresh(name)
            if known is not None:
                return known.caller
            # Believed from before the question on: what is taken back while it is on its way must not count as heard later.
            until = self._clock.monotonic() + BELIEVED_S
            found = await ask()
            self._keep(name, _Known(found, until))
            return found

    def _fresh(self, name: LoginId | bytes) -> _Known | None:
        known = self._known.get(name) or self._unknown.get(name)
        return known if known is not None and self._clock.monotonic() < known.until else None

    def _keep(self, name: LoginId | bytes, known: _Known) -> None:
        self._known.pop(name, None)
        self._unknown.pop(name, None)
        table, most = (self._unknown, MAX_UNKNOWN) if known.caller is None else (self._known, MAX_KNOWN)
        table[name] = known
        if len(table) > most:
            table.popitem(last=False)

    async def _of_login(self, caller: Caller) -> Caller | None:
        self.asked += 1
        async with self._transactions() as stores:
            if caller.app_id is not None and caller.account_id == caller.app_id:
                return None if await stores.apps.by_id(caller.app_id) is None else caller
            return None if await stores.logins.ended((caller.login_id,)) else caller

    async def _of_foreign(self, foreign: ForeignTokens, token: str) -> Caller:
        self.asked += 1
        return await foreign.caller_of(token)

    async def _of_key(self, secret_hash: bytes) -> Caller | None:
        self.asked += 1
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            owner = await stores.api_keys.by_secret(secret_hash, now)
            if owner is None:
                return None
            key = owner.key
            if key.used_at is None or now - key.used_at >= USED_EVERY:
                await stores.api_keys.touch(key.id, now)
        holds_ms = self._clock.wall_ms() + KEY_HOLDS_MS
        return Caller(
            account_id=AccountId(key.account_id),
            login_id=key.login_id,
            name=owner.name,
            roles=owner.roles,
            expires_at_ms=holds_ms if key.expires_at is None else min(holds_ms, to_wall_ms(key.expires_at)),
            scopes=key.scopes,
        )


def _required(found: Caller | None) -> Caller:
    if found is None:
        raise NotAuthenticated("this was taken back, or never was: ask for it again")
    return found
