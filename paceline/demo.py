"""The demo class: twelve simulated athletes in a live class, so that there is something to look at from the first minute.

The athletes are clients like any other: they connect to the gateway over a real socket and speak the public protocol. Only their
accounts are made here directly, with a password that nobody knows, and their tokens are signed here, because twelve password
hashes would be most of a start. The class goes on where it was when the program is started again; after `CLASS_MINUTES` it
ends with its summary, and the next one opens.
"""

import asyncio
import secrets
from collections.abc import Callable
from datetime import date
from typing import Final

import aiohttp
import msgspec
import structlog

from loadtest.api import Api, Grant
from loadtest.client import open_client
from loadtest.device import Athlete, Strap, crowd
from loadtest.plan import class_script
from loadtest.stream import DeviceStream
from loadtest.tokens import Renewal
from loadtest.tokens import Tokens as ClientTokens
from persistence.stores import Transactions
from services.accounts.account import Account, Profile
from services.accounts.passwords import Passwords
from services.accounts.ports import Login
from services.accounts.tokens import Tokens
from services.classes.classes import Classes
from services.classes.live_class import LiveClass
from services.kernel.caller import AccountRole, Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import AccountId, Ids, LoginId, StreamId
from services.kernel.problems import Problem

ATHLETES: Final = 12
CLASS_MINUTES: Final = 40
WARM_MS: Final = 6 * 60_000
"""The athletes come warmed up: a class that begins at rest is dull to look at."""
SPREAD_MS: Final = 8 * 60_000
"""And not in step: each is somewhere else in the plan, so that the board has all its colours."""
PAUSE_S: Final = 45.0
"""Between two classes, so that the final table can be read."""
TITLE: Final = "Demo ride"
STRAP: Final = Strap()

log = structlog.get_logger(__name__)


class Demo:
    """Keeps a demo class going. `code` is its join code, None while there is none."""

    def __init__(
        self,
        transactions: Transactions,
        classes: Classes,
        passwords: Passwords,
        tokens: Tokens,
        clock: Clock,
        ids: Ids,
        *,
        base_url: Callable[[], str],
    ) -> None:
        self._transactions = transactions
        self._classes = classes
        self._passwords = passwords
        self._tokens = tokens
        self._clock = clock
        self._ids = ids
        self._base_url = base_url
        self._opened = asyncio.Event()
        self.code: str | None = None

    async def current_code(self) -> str | None:
        """The join code of the demo class, for the landing page."""
        return self.code

    async def opened(self) -> str:
        """Wait for the first class; its join code."""
        await self._opened.wait()
        return self.code or ""

    async def run(self) -> None:
        """One class after the other, until cancelled."""
        coach, people = await self._people()
        while True:
            live = await self._live_class(coach)
            self.code = live.code
            self._opened.set()
            try:
                await self._hold(live, people)
                await self._end(coach, live)
            finally:
                self.code = None
            await self._clock.sleep(PAUSE_S)

    # -- people ---------------------------------------------------------------------------------------------------

    async def _people(self) -> tuple[Account, list[tuple[Account, Athlete]]]:
        athletes = crowd(ATHLETES, class_script(again=True), seed=7, strap=STRAP)
        wanted = [self._account("coach", "Coach Mia", frozenset({"member", "coach"}), Profile())]
        for number, athlete in enumerate(athletes, start=1):
            profile = Profile(
                birth_date=date(1978 + 3 * number % 25, 1 + number % 12, 1 + 2 * number),
                sex="female" if number % 2 else "male",
                mass_kg=56.0 + 2.5 * number,
                max_hr=athlete.max_hr,
                rest_hr=athlete.rest_hr,
            )
            wanted.append(self._account(str(number), athlete.name, frozenset({"member"}), profile))
        accounts = [await self._found(account) for account in wanted]
        return accounts[0], list(zip(accounts[1:], athletes, strict=True))

    def _account(self, who: str, name: str, roles: frozenset[AccountRole], profile: Profile) -> Account:
        return Account(
            id=AccountId(self._ids.next()),
            email=f"demo-{who}@paceline.invalid",
            name=name,
            roles=roles,
            created_at_ms=self._clock.wall_ms(),
            profile=profile,
        )

    async def _found(self, account: Account) -> Account:
        """The account as stored, made when it is not there yet."""
        async with self._transactions() as stores:
            known = await stores.accounts.credentials(account.email)
        if known is not None:
            return known.account
        password_hash = await self._passwords.hash(secrets.token_urlsafe(24))
        async with self._transactions() as stores:
            await stores.accounts.add(account, password_hash)
        return account

    # -- one class ------------------------------------------------------------------------------------------------

    async def _live_class(self, coach: Account) -> LiveClass:
        """The class that is still live from before, or a new one."""
        caller = _caller(coach)
        for live in await self._classes.of_coach(caller):
            if not live.over and self._left_s(live) > 60:
                return live
            if not live.over:
                await self._end(coach, live)
        return await self._classes.create(caller, TITLE)

    async def _end(self, coach: Account, live: LiveClass) -> None:
        try:
            await self._classes.end(_caller(coach), live.id)
        except Problem as problem:
            log.info("demo.end_refused", problem=str(problem))

    def _left_s(self, live: LiveClass) -> float:
        return CLASS_MINUTES * 60 - (self._clock.wall_ms() - live.created_ms) / 1000

    async def _hold(self, live: LiveClass, people: list[tuple[Account, Athlete]]) -> None:
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
            for account, athlete in people:
                group.create_task(self._train(http, live, account, athlete), name=f"demo {account.name}")

    async def _train(self, http: aiohttp.ClientSession, live: LiveClass, account: Account, athlete: Athlete) -> None:
        """One athlete until the end of the class; whatever goes wrong with one does not end the others."""
        api = Api(http, self._base_url(), clock=self._clock, patience_s=float("inf"))
        login = await self._login(account)
        tokens = ClientTokens(self._clock, self._grant(account, login), self._renewal(account, login))
        try:
            async with open_client(api, tokens) as client:
                await client.join(live.code)
                async with client.open_stream(
                    class_code=live.code,
                    device="simulated strap",
                    sport="cycling",
                    stream_id=StreamId(self._ids.next()),
                ) as stream:
                    await self._stream(live, athlete, stream)
                    await stream.finish()
        except Exception as problem:
            log.warning("demo.athlete_left", athlete=account.name, problem=repr(problem))

    async def _stream(self, live: LiveClass, athlete: Athlete, stream: DeviceStream) -> None:
        while self._left_s(live) > 0:
            elapsed_ms = self._clock.wall_ms() - live.created_ms
            reading = athlete.sample_at(elapsed_ms + WARM_MS + athlete.seed % SPREAD_MS)
            await stream.append(msgspec.structs.replace(reading, t=elapsed_ms))
            # Each athlete keeps a beat of their own, as straps do.
            into_second = (elapsed_ms + athlete.seed) % 1_000
            await self._clock.sleep((1_000 - into_second) / 1_000)

    async def _login(self, account: Account) -> LoginId:
        """A login as stored: a connection whose login is not there is ended (gateway/sockets/login_watch.py)."""
        login = Login(LoginId(self._ids.next()), account.id, "simulated strap", utc(self._clock.wall_ms()))
        async with self._transactions() as stores:
            await stores.logins.add(login)
        return login.id

    def _grant(self, account: Account, login: LoginId) -> Grant:
        issued = self._tokens.for_account(account, login, self._clock.wall_ms())
        return Grant(access_token=issued.token, expires_in_s=issued.expires_in_s)

    def _renewal(self, account: Account, login: LoginId) -> Renewal:
        async def renew(_: Grant) -> Grant:
            return self._grant(account, login)

        return renew


def _caller(account: Account) -> Caller:
    return Caller(
        account_id=account.id,
        login_id=LoginId(account.id),
        name=account.name,
        roles=account.roles,
        expires_at_ms=0,
    )
