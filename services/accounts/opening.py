"""Opening a login for an account that has proven itself, and giving it its tokens.

However somebody gets in (a password, a passkey, another issuer's word, a finished registration), this is the one way to a
login. So one place decides what a login begins with, and whether one proof was enough. What is returned is either tokens or what
is still missing; a use case commits, and then hands it on with `let_in`, which raises what is missing as a problem. Raised inside,
it would roll back what somebody needs to go on.

A login that was opened just now is fresh (`step_up.py`): whoever opened it has proven themselves this moment.
"""

from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from services.accounts import tokens
from services.accounts.account import Account, AccountView, normal_device, view_of
from services.accounts.ports import AccountStores, Login
from services.accounts.second_factor import (
    CONTINUATION_MS,
    WaitingLogin,
    continuation_hash,
    make_continuation,
    password_mark,
)
from services.accounts.step_up import fresh_ms
from services.accounts.suspension import require_open
from services.accounts.tokens import Tokens
from services.kernel.clock import Clock, utc
from services.kernel.ids import Ids, LoginId
from services.kernel.problems import SecondFactorNeeded

REFRESH_TTL: Final = timedelta(days=30)
LOGIN_TTL: Final = timedelta(days=180)
"""A login ends this long after the password was last typed, however busy it is (ASVS 10.4.8)."""

Proof = Literal["password", "passkey", "issuer", "registration", "second_factor"]
"""How an account has proven itself; `second_factor`: with one of the others before, and with this now. A passkey is two
factors at once: the device, and whoever unlocked it."""
_NOT_ENOUGH: Final = frozenset({"password", "issuer"})
"""Proofs after which an account that has a second factor is asked for it. What another issuer has asked for is not ours to
judge."""


class LoggedIn(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody gets who has registered, logged in or refreshed. Keep the refresh token; it works once.

    `expires_in_s` is the lifetime of the access token in seconds. `refresh_token` is always there, but for our own pages, which
    have it in a cookie.
    """

    account: AccountView
    access_token: str
    expires_in_s: int
    refresh_token: str = ""

    def __repr__(self) -> str:
        return f"LoggedIn({self.account.id})"


Opened = LoggedIn | SecondFactorNeeded
"""A login with its tokens, or what is still missing. Commit, then `let_in`."""


def let_in(opened: Opened) -> LoggedIn:
    """The tokens. Raises SecondFactorNeeded; so only after the transaction, whose rows are needed to go on."""
    if isinstance(opened, SecondFactorNeeded):
        raise opened
    return opened


class Opening:
    """Opens logins and renews their tokens, inside somebody else's transaction."""

    def __init__(self, tokens: Tokens, clock: Clock, ids: Ids, *, refresh_ttl: timedelta = REFRESH_TTL) -> None:
        self._tokens: Final = tokens
        self._clock: Final = clock
        self._ids: Final = ids
        self._refresh_ttl: Final = refresh_ttl

    async def open(self, stores: AccountStores, account: Account, device: str, proof: Proof) -> Opened:
        """A login of `account` on `device`, which has given `proof`; or what it takes to go on with the second factor.
        Raises AccountSuspended."""
        # Under the lock of the account: who suspends it at this moment ends this login, or is seen here.
        await stores.accounts.locked(account.id)
        require_open(await stores.suspensions.standing(account.id), self._clock.wall_ms())
        now = utc(self._clock.wall_ms())
        if proof in _NOT_ENOUGH and await stores.second_factors.any(account.id):
            return await self._wait(stores, account, device, now)
        login = Login(
            id=LoginId(self._ids.next()),
            account_id=account.id,
            device=normal_device(device),
            created_at=now,
            fresh_at=now,
            second_factor_at=now if proof in {"passkey", "second_factor"} else None,
        )
        await stores.logins.add(login)
        return await self.issue(stores, account, login, now)

    async def issue(self, stores: AccountStores, account: Account, login: Login, now: datetime) -> LoggedIn:
        """Another pair of tokens for a login that goes on."""
        refresh_token = tokens.make_refresh_token()
        expires_at = min(now + self._refresh_ttl, login.created_at + LOGIN_TTL)
        await stores.logins.add_refresh(login.id, tokens.refresh_hash(refresh_token), now, expires_at)
        issued = self.access(account, login)
        return LoggedIn(view_of(account), issued.token, issued.expires_in_s, refresh_token)

    async def _wait(self, stores: AccountStores, account: Account, device: str, now: datetime) -> SecondFactorNeeded:
        token = make_continuation()
        mark = password_mark(await stores.accounts.password_hash_locked(account.id))
        waiting = WaitingLogin(account.id, normal_device(device), mark)
        until = now + timedelta(milliseconds=CONTINUATION_MS)
        await stores.second_factors.wait(continuation_hash(token), waiting, now, until)
        factors = await stores.second_factors.of(account.id)
        return SecondFactorNeeded(
            token=token,
            factors=" ".join(factors.kinds()),
            expires_in_s=CONTINUATION_MS // 1_000,
            finish="/v1/logins/second-factor",
        )

    def access(self, account: Account, login: Login) -> tokens.Issued:
        """An access token for `login` as it is now, saying when it last proved itself, unless that was too long ago."""
        now_ms = self._clock.wall_ms()
        return self._tokens.for_account(
            account,
            login.id,
            now_ms,
            fresh_at_ms=fresh_ms(login.fresh_at, now_ms),
            second_factor_at_ms=fresh_ms(login.second_factor_at, now_ms),
        )
