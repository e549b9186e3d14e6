"""One evening per attempt: a class of one coach, and everybody else where their name says.

All evenings share one gateway: the real one, as it is wired, with a real Postgres and the carrier in memory, in this process.
People come into being when they are first needed, straight in the database: a password's hash would cost more than all the rest.
"""

import asyncio
import dataclasses
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from gateway.http.server import GatewayRunner
from paceline.keys import admin_token, signing_key, vault
from paceline.program import Program
from paceline.serving import listen
from paceline.settings import Settings
from paceline.wiring import Parts, open_parts, start_loops
from realtime.wire import RoomJoin
from services.access.role import OrgRole
from services.accounts.account import Account
from services.accounts.keyring import load_key
from services.accounts.ports import Login
from services.accounts.provider import read_providers
from services.accounts.staff import AccountActs
from services.accounts.tokens import Tokens
from services.audit.entry import SYSTEM
from services.classes.live_class import LiveClass, Role
from services.kernel.caller import AccountRole, Caller
from services.kernel.clock import ManualClock, SystemClock, utc
from services.kernel.ids import OrganisationId, Uuid7Ids
from services.organisations.organisations import Organisations
from tests.gateway.sockets.build import WAIT_S, Client
from tests.matrix.roles import OK, Who
from tests.support.world import World

SMS_TOKEN: Final = "the token of the provider"
PUBLIC_URL: Final = "https://run.example"
GITHUB: Final = '[github]\nclient_id = "1"\nclient_secret = "2"'
"""Whom one can sign in with. Its addresses are known beforehand, so nobody has to be asked."""
BAD_TOKEN: Final = "not.a.token"
ROLES: Final[Mapping[Who, Role]] = {
    Who.OWNER: "coach",
    Who.CO_COACH: "coach",
    Who.ATHLETE: "athlete",
    Who.SPECTATOR: "spectator",
    Who.DISPLAY: "spectator",
}
"""Who is in the room of the class, and as what."""
ORG_SEATS: Final[Mapping[Who, OrgRole]] = {Who.ORG_ADMIN: "admin", Who.ORG_MEMBER: "member"}
"""Who is in the owner's organisation besides the owner, and as what."""


@dataclass
class Stage:
    """The running gateway, and what evenings need of it."""

    parts: Parts
    world: World
    address: str
    http: aiohttp.ClientSession
    tokens: Tokens
    secret: bytes
    admin_token: str
    exports: Path


@asynccontextmanager
async def open_stage(dsn: str, folder: Path) -> AsyncIterator[Stage]:
    """A gateway at work on this database. Workers are not: what would happen later does not happen."""
    clock, program = SystemClock(), Program()
    exports = folder / "exports"
    settings = dataclasses.replace(
        Settings(), data_dir=folder, export_dir=exports, port=0, roles=("gateway",), demo="off", commit_interval_ms=10,
        board_hz=1.0, public_url=PUBLIC_URL, sms_account="AC1", sms_token=SMS_TOKEN, sms_from="+15005550006",
        sign_in=read_providers(GITHUB),
    )  # fmt: skip
    async with AsyncExitStack() as resources:
        parts = await resources.enter_async_context(
            open_parts(settings, database_url=dsn, redis_url=None, clock=clock, ids=Uuid7Ids(clock), program=program)
        )
        start_loops(parts, program)
        # The logins of these people are none that anybody has begun.
        await program.drop("login watch")
        resources.push_async_callback(program.end)
        runner = GatewayRunner(parts.app, parts.sockets.eio.behind_door, shutdown_timeout=1.0)
        await runner.setup()
        resources.push_async_callback(runner.cleanup)
        listening = resources.enter_context(listen("127.0.0.1", 0))
        await aiohttp.web.SockSite(runner, listening).start()
        parts.port = listening.getsockname()[1]
        http = await resources.enter_async_context(aiohttp.ClientSession())
        secret = signing_key(settings)
        yield Stage(
            parts,
            World(parts.database, ManualClock(clock.wall_ms()), vault=vault(settings)),
            parts.base_url,
            http,
            Tokens(load_key(secret)),
            secret.encode(),
            admin_token(settings),
            exports,
        )


@dataclass(frozen=True)
class Asked:
    """One request but for method and address: `path` fills in the placeholders of the address."""

    path: Mapping[str, object] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    """In place of the row's address, where the whole of it was made elsewhere."""


@dataclass(frozen=True)
class Answer:
    """What came back: `said` is `OK` for a status below 400, else the code of the problem."""

    status: int
    said: str
    body: Any


EXTRA_ROLES: Final[dict[Who, tuple[AccountRole, ...]]] = {
    Who.OWNER: ("coach",),
    Who.CO_COACH: ("coach",),
    Who.COACH: ("coach",),
    Who.AUTHOR: ("author",),
    Who.SUPPORT: ("support",),
    Who.ADMIN: ("admin",),
}


class Evening:
    """One class and its people. Everything in it is of its own; nothing that happens here is seen by another evening."""

    def __init__(self, stage: Stage) -> None:
        self.stage: Final = stage
        self.world: Final = stage.world
        self._callers: dict[Who, Caller] = {}
        self._clients: dict[Who, Seat] = {}
        self._live: LiveClass | None = None
        self._organisation: OrganisationId | None = None
        self._lines: Final = AsyncExitStack()

    def now_ms(self) -> int:
        """The gateway's wall clock."""
        return self.stage.parts.clock.wall_ms()

    async def close(self) -> None:
        """Everybody goes home."""
        await self._lines.aclose()

    # -- people ---------------------------------------------------------------------------------------------------

    async def caller(self, who: Who) -> Caller:
        """The account of somebody who has one."""
        if who not in self._callers:
            self._callers[who] = await self.world.account(str(who), "member", *EXTRA_ROLES.get(who, ()))
            if who is Who.SUSPENDED:
                await self._suspend(self._callers[who])
        return self._callers[who]

    async def _suspend(self, caller: Caller) -> None:
        """Suspend an account after it has got a token; this gateway has read it."""
        clock, ids = self.stage.parts.clock, self.world.ids
        login = Login(caller.login_id, caller.account_id, "phone", utc(self.now_ms()))
        async with self.world.transactions() as stores:
            await stores.logins.add(login)
        acts = AccountActs(self.world.transactions, clock, ids)
        await acts.suspend(SYSTEM, caller.account_id, "they share their account", None)
        await self.stage.parts.revocation.read()

    async def token(self, who: Who) -> str | None:
        """What somebody shows."""
        now_ms = self.now_ms()
        if who is Who.NOBODY:
            return None
        if who is Who.OPERATOR:
            return self.stage.admin_token
        if who is Who.DISPLAY:
            live = await self.live()
            return self.stage.tokens.for_display(live.id, uuid.uuid4(), "Screen", now_ms).token
        caller = await self.caller(who)
        account = Account(caller.account_id, "somebody@example.org", caller.name, caller.roles, now_ms)
        return self.stage.tokens.for_account(
            account, caller.login_id, now_ms, fresh_at_ms=now_ms, second_factor_at_ms=now_ms
        ).token

    async def live(self) -> LiveClass:
        """The owner's class, with its co-coach, its athlete and its spectator as members."""
        if self._live is None:
            live = await self.stage.parts.classes.create(await self.caller(Who.OWNER), "Thursday hills")
            for who in (Who.CO_COACH, Who.ATHLETE, Who.SPECTATOR):
                await self.world.enter(live, await self.caller(who), ROLES[who])
            helper = (await self.caller(Who.CO_COACH)).account_id
            self._live = msgspec.structs.replace(live, co_coach_ids=(helper,), coaches_n=1)
            async with self.world.transactions() as stores:
                await stores.leading.save(self._live, utc(self.now_ms()))
        return self._live

    async def organisation(self) -> OrganisationId:
        """The owner's organisation, with its admin and its member."""
        if self._organisation is None:
            organisations = Organisations(self.world.transactions, self.stage.parts.clock, self.world.ids)
            made = await organisations.make(await self.caller(Who.OWNER), "Harbour Gym")
            self._organisation = made.organisation.id
            async with self.world.transactions() as stores:
                for who, role in ORG_SEATS.items():
                    sits = (await self.caller(who)).account_id
                    await stores.organisations.seat(self._organisation, sits, role, utc(self.now_ms()))
        return self._organisation

    # -- HTTP -----------------------------------------------------------------------------------------------------

    async def ask(self, who: Who, method: str, url: str, asked: Asked | None = None) -> Answer:
        """One request of somebody."""
        asked = asked or Asked()
        headers, token = dict(asked.headers), await self.token(who)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data: Any = asked.form
        if asked.body is not None:
            data = msgspec.json.encode(asked.body)
            headers["Content-Type"] = "application/json"
        where = self.stage.address + (asked.url or url.format(**asked.path))
        request = self.stage.http.request(method, where, params=asked.query or None, data=data, headers=headers)
        async with request as response:
            body: Any = await response.read()
            if response.content_type.endswith("json"):
                body = json.loads(body)
            ok = response.status < 400
            return Answer(response.status, OK if ok else str(body["code"]), body)

    async def make(self, who: Who, method: str, url: str, body: object = None, **path: object) -> Any:
        """One request that has to succeed; what it answered."""
        answer = await self.ask(who, method, url, Asked(path=path, body=body))
        assert answer.said == OK, f"{who} could not arrange {method} {url}: {answer.body}"
        return answer.body

    # -- the socket -----------------------------------------------------------------------------------------------

    async def sits(self, who: Who) -> "Seat":
        """Somebody's connection, in no room yet."""
        if who not in self._clients:
            self._clients[who] = await self.connected(await self.token(who) or BAD_TOKEN)
        return self._clients[who]

    async def in_room(self, who: Who) -> "Seat":
        """Somebody's connection: in the room of the class if they are one of its people."""
        seat, role, live = await self.sits(who), ROLES.get(who), await self.live()
        if role is not None and not seat.refused:
            joined = await seat.call("room.join", RoomJoin(code=live.code, role=role))
            assert "ok" in joined, joined
        return seat

    async def connected(self, token: str) -> "Seat":
        """One more connection with this token; the refusal of one that is not let in is in `refused`."""
        seat = await self.knocks()
        await seat.sit(token)
        return seat

    async def knocks(self) -> "Seat":
        """A connection that has not said who it is."""
        url = f"{self.stage.address}/socket.io/?EIO=4&transport=websocket"
        socket = await self.stage.http.ws_connect(url)
        self._lines.push_async_callback(socket.close)
        seat = Seat(socket)
        assert (await seat.packet()).startswith('0{"sid":')
        return seat


class Seat(Client):
    """A client that reads past what it did not ask for. `refused` is the code with which it was not let in."""

    refused = ""

    async def sit(self, token: str) -> None:
        """Say who one is, and be let in or refused."""
        await self.text("40/live," + json.dumps({"token": token}))
        answer = await self.packet()
        if answer.startswith("44/live,"):
            self.refused = json.loads(answer.removeprefix("44/live,"))["data"]["code"]
        else:
            assert answer.startswith('40/live,{"sid":'), answer

    async def call(self, name: str, payload: object) -> dict[str, Any]:
        """Send an event and wait for its answer, whatever comes before it."""
        ack_id = await self.event(name, msgspec.to_builtins(payload))
        head = f"43/live,{ack_id}["
        async with asyncio.timeout(WAIT_S):
            while not (packet := await self.packet()).startswith(head):
                pass
        (answer,) = json.loads(packet[len(head) - 1 :])
        assert isinstance(answer, dict)
        return answer

    async def says(self, name: str, payload: object) -> str:
        """The same; `OK` or the code of the problem."""
        answer = await self.call(name, payload)
        return OK if "ok" in answer else str(answer["problem"]["code"])


@asynccontextmanager
async def open_evening(stage: Stage) -> AsyncIterator[Evening]:
    """An evening; its lines are closed afterwards."""
    evening = Evening(stage)
    try:
        yield evening
    finally:
        await evening.close()
