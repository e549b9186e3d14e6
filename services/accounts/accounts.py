"""Registering, logging in, staying logged in, logging out, and changing one's profile.

A login is a family of refresh tokens on one device. Each token may be used once and is then replaced; when a used one
comes back, two parties hold the family, and one of them stole it. Nobody can tell which, so the whole login ends and its
sockets close. One exception, `GRACE`: for 10 s a used token gets another successor. An honest phone whose answer was
lost on the way asks again, two tabs ask at once, and both would otherwise be thrown out. The price is stated: a thief
who is quicker than 10 s holds a branch of the family unnoticed until one side uses a token twice, or the login ends.

A login lives while it is used at least every `refresh_ttl`, and ends at `LOGIN_TTL` whatever happens. Ending it takes the
refresh tokens away at once and closes its sockets through the fact `LoginEnded`; an access token that is out already is
refused by every node within 5 s (revoked.py).

Unknown address and wrong password are one answer and one amount of work. Where accounts are made at once (`signup` direct),
registering an address that is taken is told (`EmailTaken`), because without mail there is no honest other way; the hash is made
first, so its time tells nothing. Where mail goes out, `registrations.py` has the other way, which tells the reader of the mailbox.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal

import structlog

from services.access import permission as may
from services.access.policy import require_held
from services.accounts import tokens
from services.accounts.account import (
    Account,
    AccountView,
    ProfileChange,
    SignupRole,
    changed,
    check_password,
    normal_email,
    normal_name,
    normal_password,
    role_given,
    view_of,
)
from services.accounts.attempts import Attempts
from services.accounts.breached import Breached
from services.accounts.opening import LoggedIn, Opening, let_in
from services.accounts.passwords import Passwords
from services.accounts.ports import AccountStores, AccountTransactions
from services.accounts.tokens import Tokens
from services.accounts.vitals import check_against_history, write_into_history
from services.audit.entry import SYSTEM, Actor, Entry
from services.flags.switches import ALL_ON, Switches
from services.kernel.caller import AccountRole, Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import AccountRegistered, LoginEnded
from services.kernel.ids import AccountId, Ids, LoginId
from services.kernel.problems import (
    NotAuthenticated,
    NotFound,
    RefreshRefused,
    VerifyFirst,
    WrongCredentials,
)
from services.limits.limits import Limits

Signup = Literal["direct", "verified"]
"""How an account comes to be: at once, or once its address is proved (`registrations.py`)."""
GRACE: Final = timedelta(seconds=10)

log = structlog.get_logger(__name__)


class Accounts:
    """The use cases. `address` arguments are where a request comes from, None when that says nothing about who."""

    def __init__(
        self,
        transactions: AccountTransactions,
        passwords: Passwords,
        opening: Opening,
        clock: Clock,
        ids: Ids,
        *,
        attempts: Attempts | None = None,
        signup: Signup = "direct",
        coach_signup: Literal["open", "closed"] = "open",
        breached: Breached | None = None,
        switches: Switches = ALL_ON,
    ) -> None:
        self._transactions = transactions
        self._passwords = passwords
        self._opening = opening
        self._clock = clock
        self._ids = ids
        self._attempts = attempts or Attempts(Limits(clock))
        self._signup = signup
        self._coach_signup = coach_signup
        self._breached = breached
        self._switches = switches

    async def register(
        self, *, email: str, password: str, name: str, role: SignupRole, device: str, address: str | None
    ) -> LoggedIn:
        """Make an account and log it in. A coach is a member too: whoever teaches also trains. Its address is not proved yet.

        Raises VerifyFirst where addresses are proved first, RegisteringPaused, BadShape, WeakPassword, Forbidden (coach
        sign-up is closed), EmailTaken, TooManyAttempts, Busy.
        """
        if self._signup == "verified":
            raise VerifyFirst
        self._switches.require("registering")
        await self._attempts.from_address(address)
        email, name = normal_email(email), normal_name(name)
        password = normal_password(password)
        check_password(password, email=email, name=name)
        role_given(role, self._coach_signup)
        if self._breached is not None:
            await self._breached.refuse(password)
        password_hash = await self._passwords.hash(password)
        account = Account(
            id=AccountId(self._ids.next()),
            email=email,
            name=name,
            roles=frozenset({"member", role}),
            created_at_ms=self._clock.wall_ms(),
        )
        async with self._transactions() as stores:
            await stores.accounts.add(account, password_hash)
            await stores.outbox.add(AccountRegistered(account.id), account.id)
            opened = await self._opening.open(stores, account, device, "registration")
        log.info("account.registered", account=str(account.id), role=role)
        return let_in(opened)

    async def log_in(self, *, email: str, password: str, device: str, address: str | None) -> LoggedIn:
        """Open a login with a password. Raises WrongCredentials, BadShape, TooManyAttempts, Busy."""
        email = normal_email(email)
        password = normal_password(password)
        await self._attempts.password(email, address)
        async with self._transactions() as stores:
            found = await stores.accounts.password_of(email)
        account_id, password_hash = found or (None, None)
        # No connection is held while the hash is computed; the answer below is the same with and without an account.
        checked = await self._passwords.check(password, password_hash)
        if account_id is None or not checked.matches:
            log.info("login.refused", account=account_id and str(account_id))
            raise WrongCredentials
        await self._attempts.succeeded(email, address)
        rehashed = await self._passwords.hash(password) if checked.outdated else None
        async with self._transactions() as stores:
            # Changed meanwhile, the password that was checked is nobody's any more.
            if await stores.accounts.password_hash_locked(account_id) != password_hash:
                raise WrongCredentials
            account = await stores.accounts.by_id(account_id)
            if account is None:
                raise WrongCredentials
            if rehashed is not None:
                await stores.accounts.save_password_hash(account_id, rehashed)
            opened = await self._opening.open(stores, account, device, "password")
        logged_in = let_in(opened)
        log.info("login.opened", account=str(account_id))
        return logged_in

    async def refresh(self, refresh_token: str, *, address: str | None) -> LoggedIn:
        """Swap a refresh token for a new pair. Raises RefreshRefused, TooManyAttempts."""
        await self._attempts.from_address(address)
        token_hash = tokens.refresh_hash(refresh_token)
        now = utc(self._clock.wall_ms())
        renewed: LoggedIn | None = None
        async with self._transactions() as stores:
            refresh = await stores.logins.refresh_locked(token_hash)
            if refresh is None or refresh.login.ended_at is not None or now >= refresh.expires_at:
                raise RefreshRefused
            login = refresh.login
            if refresh.used_at is not None and now - refresh.used_at > GRACE:
                # The ending has to be committed, so the refusal is raised after the transaction.
                await self._end(stores, login.id, login.account_id, now, "a refresh token was used twice", stolen=True)
            else:
                if refresh.used_at is None:
                    await stores.logins.mark_used(token_hash, now)
                account = await stores.accounts.by_id(login.account_id)
                if account is None:
                    raise RefreshRefused
                renewed = await self._opening.issue(stores, account, login, now)
        if renewed is None:
            log.warning("login.reused", account=str(login.account_id), login=str(login.id))
            raise RefreshRefused
        await self._attempts.renewed(address)
        return renewed

    async def log_out(self, caller: Caller) -> None:
        """End the caller's login. Again is fine. Raises Forbidden for a display, which has no login."""
        self._require_account(caller)
        async with self._transactions() as stores:
            await self._end(stores, caller.login_id, caller.account_id, utc(self._clock.wall_ms()), "logged out")

    async def me(self, caller: Caller) -> AccountView:
        """The caller's own account. Raises Forbidden for a display, NotAuthenticated when the account is gone."""
        self._require_account(caller)
        async with self._transactions() as stores:
            account = await stores.accounts.by_id(caller.account_id)
        if account is None:
            raise NotAuthenticated
        return view_of(account)

    async def change_profile(self, caller: Caller, change: ProfileChange) -> AccountView:
        """Change the caller's name and profile; what is measured goes into the history as of today (vitals.py). Raises BadShape
        with the path, TooManyVitals, Forbidden, NotAuthenticated."""
        self._require_account(caller)
        async with self._transactions() as stores:
            account = await stores.accounts.locked(caller.account_id)
            if account is None:
                raise NotAuthenticated
            now_ms = self._clock.wall_ms()
            before, account = account, changed(account, change, utc(now_ms).date())
            await stores.accounts.save(account)
            await write_into_history(stores, before, change, self._ids, now_ms)
            await check_against_history(stores, account, change, now_ms)
        return view_of(account)

    async def grant_role(self, email: str, role: AccountRole, by: Actor = SYSTEM) -> AccountView:
        """Give an account a role, for the operator's command line; tokens have it from the next refresh on.

        Raises NotFound when there is no such account, BadShape for what is no address.
        """
        async with self._transactions() as stores:
            account = await stores.accounts.grant_role(normal_email(email), role)
            if account is not None:
                await stores.audit.add(Entry(by, "role.granted", account.id, data={"role": role}))
        if account is None:
            raise NotFound(f"there is no account with the address {email}")
        log.info("account.role_granted", account=str(account.id), role=role)
        return view_of(account)

    async def _end(
        self,
        stores: AccountStores,
        login_id: LoginId,
        account_id: AccountId,
        now: datetime,
        reason: str,
        *,
        stolen: bool = False,
    ) -> None:
        if await stores.logins.end(login_id, now, reason):
            await stores.outbox.add(LoginEnded(account_id, login_id, reason, stolen=stolen), login_id)

    @staticmethod
    def _require_account(caller: Caller) -> None:
        require_held(caller, may.READ_PROFILE)


def identifier(tokens: Tokens, clock: Clock) -> Callable[[str], Caller]:
    """`identify` for whoever only holds a token: raises NotAuthenticated, TokenExpired."""
    return lambda token: tokens.identify(token, clock.wall_ms())
