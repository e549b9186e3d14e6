"""People and classes for the stand, put straight into its database, with tokens that outlive the bench."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from loadtest.api import Grant
from loadtest.tokens import Tokens
from persistence.database import open_database
from persistence.stores import Transactions
from services.accounts.account import Account
from services.accounts.keyring import load_key
from services.accounts.ports import Login
from services.accounts.tokens import Tokens as TokenMaker
from services.classes.live_class import LiveClass, code_from
from services.kernel.caller import AccountRole
from services.kernel.clock import SystemClock, utc
from services.kernel.ids import AccountId, ClassId, LoginId, Uuid7Ids
from tests.faults.stand import Stand

TOKEN_S: Final = 24 * 3_600


class Person(msgspec.Struct, frozen=True):
    """An account that was put into the database, with a token that lasts as long as the bench."""

    account_id: AccountId
    name: str
    token: str

    def tokens(self) -> Tokens:
        """As the reference client wants them."""

        async def renew(_: Grant) -> Grant:
            raise RuntimeError("the bench's tokens outlive it; why would the server not have this one?")

        return Tokens(SystemClock(), Grant(self.token, TOKEN_S), renew)


class Registry:
    """People and classes, put straight into the database: hashing hundreds of passwords is not what is tested here."""

    def __init__(self, transactions: Transactions, key: str) -> None:
        self._transactions: Final = transactions
        self._clock: Final = SystemClock()
        self._ids: Final = Uuid7Ids(self._clock)
        self._maker: Final = TokenMaker(load_key(key), access_ttl_s=TOKEN_S)

    async def people(self, names: Sequence[str], *roles: AccountRole, at: str = "bench.invalid") -> list[Person]:
        """So many accounts, each with a login, and a mail address at this domain; one under .invalid is nobody's."""
        made = []
        now_ms = self._clock.wall_ms()
        async with self._transactions() as stores:
            for name in names:
                account_id, login_id = AccountId(self._ids.next()), LoginId(self._ids.next())
                account = Account(
                    id=account_id,
                    email=f"{account_id.hex}@{at}",
                    name=name,
                    roles=frozenset(roles or ("member",)),
                    created_at_ms=now_ms,
                )
                await stores.accounts.add(account, "no password fits")
                await stores.logins.add(Login(login_id, account_id, "bench", utc(now_ms)))
                made.append(Person(account_id, name, self._maker.for_account(account, login_id, now_ms).token))
        return made

    async def live_class(self, coach: Person, rng: random.Random) -> LiveClass:
        """A live class of this coach."""
        live = LiveClass(
            id=ClassId(self._ids.next()),
            code=code_from(rng.randbytes(6)),
            title="Fault ride",
            coach_id=coach.account_id,
            coach_name=coach.name,
            created_ms=self._clock.wall_ms(),
        )
        async with self._transactions() as stores:
            if not await stores.classes.create(live):
                raise RuntimeError(f"the code {live.code} is taken: give another seed")
        return live


@asynccontextmanager
async def open_registry(stand: Stand) -> AsyncIterator[Registry]:
    """The registry of a stand's database."""
    clock = SystemClock()
    async with open_database(stand.database_url, size=2) as database:
        yield Registry(Transactions(database, clock, Uuid7Ids(clock)), stand.token_key)
