"""A house with accounts that can have second factors: the real use cases on a real database, with a clock that jumps."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from persistence.database import Database
from persistence.stores import Transactions
from services.accounts import totp
from services.accounts.accounts import Accounts, identifier
from services.accounts.attempts import Attempts
from services.accounts.factor_logins import FactorLogins
from services.accounts.keyring import load_key, make_key
from services.accounts.logins import Logins
from services.accounts.native_apps import AndroidApp
from services.accounts.opening import LoggedIn, Opening
from services.accounts.passkey import site_of
from services.accounts.passwords import Cost, Passwords
from services.accounts.proving import Proving, TypedCode
from services.accounts.second_factors import SecondFactors
from services.accounts.step_ups import StepUps
from services.accounts.tokens import Tokens
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.kernel.facts import SecondFactorChanged
from services.kernel.ids import AccountId, Uuid7Ids
from services.kernel.problems import SecondFactorNeeded
from services.kernel.sealing import Seals
from services.limits.limits import Limits
from tests.support.authenticator import Authenticator

PASSWORD = "violet anchor moss kettle"
EMAIL = "anna@example.org"
OUR_APP = AndroidApp("org.example.paceline", ":".join(["A7"] * 32))
STEP_S = totp.STEP_MS / 1_000


@dataclass
class House:
    accounts: Accounts
    logins: Logins
    factors: SecondFactors
    factor_logins: FactorLogins
    step_ups: StepUps
    proving: Proving
    transactions: Transactions
    clock: ManualClock
    tokens: Tokens

    def caller(self, token: str) -> Caller:
        return identifier(self.tokens, self.clock)(token)

    async def register(self, email: str = EMAIL) -> Caller:
        logged_in = await self.accounts.register(
            email=email, password=PASSWORD, name="Anna", role="member", device="laptop", address=None
        )
        return self.caller(logged_in.access_token)

    async def log_in(self, password: str = PASSWORD) -> LoggedIn:
        return await self.accounts.log_in(email=EMAIL, password=password, device="phone", address=None)

    async def continuation(self) -> str:
        """What the right password gives somebody who has a second factor."""
        try:
            await self.log_in()
        except SecondFactorNeeded as needed:
            return str(needed.data["token"])
        raise AssertionError("the password alone was enough")

    async def with_app(self, caller: Caller) -> tuple[bytes, Caller]:
        """An app is set up: its secret, and the caller as it is then. A step goes by, so that the next code is another one."""
        await self.factors.begin_totp(caller)
        secret = await self.secret(caller.account_id)
        stepped = await self.factors.confirm_totp(caller, self.code(secret))
        await self.clock.advance(STEP_S)
        return secret, self.caller(stepped.access_token)

    async def with_passkey(
        self, caller: Caller, name: str = "Phone", *, counts: bool = True
    ) -> tuple[Authenticator, Caller]:
        authenticator = Authenticator(counts=counts)
        made = authenticator.make(await self.factors.passkey_options(caller))
        added = await self.factors.add_passkey(caller, name, made)
        return authenticator, self.caller(added.stepped_up.access_token)

    async def secret(self, account_id: AccountId) -> bytes:
        async with self.transactions() as stores:
            known = await stores.second_factors.totp(account_id)
        assert known is not None
        return self.proving.open_secret(account_id, known)

    def code(self, secret: bytes, steps: int = 0) -> str:
        return totp.code_at(secret, totp.step_of(self.clock.wall_ms()) + steps)

    def wrong_code(self, secret: bytes) -> str:
        """A code of some other day, and none of those that happen to be good now, too."""
        good = {self.code(secret, steps) for steps in range(-1, 2)}
        return next(code for steps in itertools.count(50) if (code := self.code(secret, steps)) not in good)

    async def finish(self, token: str, code: str) -> Caller:
        logged_in = await self.factor_logins.finish(token, TypedCode(code), address=None)
        return self.caller(logged_in.access_token)

    async def told(self) -> list[str]:
        """What the owner is told of, in order."""
        async with self.transactions() as stores:
            facts = [envelope.fact for envelope in await stores.outbox.peek(200)]
        return [fact.change for fact in facts if isinstance(fact, SecondFactorChanged)]


@asynccontextmanager
async def open_house(database: Database, clock: ManualClock | None = None) -> AsyncIterator[House]:
    clock = clock or ManualClock()
    ids = Uuid7Ids(clock)
    transactions = Transactions(database, clock, ids)
    passwords, tokens = Passwords(cost=Cost(rounds=1, memory_kib=8, lanes=1)), Tokens(load_key(make_key()))
    attempts, opening = Attempts(Limits(clock)), Opening(tokens, clock, ids)
    pages = ["https://www.paceline.example.org", "https://elsewhere.example"]
    site = site_of("https://paceline.example.org", pages, [OUR_APP.origin])
    proving = Proving(transactions, passwords, Seals((bytes(32),)), lambda: site, clock, attempts)
    yield House(
        Accounts(transactions, passwords, opening, clock, ids, attempts=attempts),
        Logins(transactions, passwords, clock, attempts),
        SecondFactors(transactions, passwords, proving, opening, clock, ids),
        FactorLogins(transactions, proving, opening, clock, attempts),
        StepUps(transactions, passwords, proving, opening, clock, attempts),
        proving,
        transactions,
        clock,
        tokens,
    )
    passwords.close()
