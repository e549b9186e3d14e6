"""Access tokens of an issuer that is trusted, on sockets: they open one, renew it while it is open, and end with their login."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.sockets.renewal import WARN_S, Renewals
from gateway.sockets.revocation import Revocation
from persistence.database import Database
from realtime.broker import InMemoryBroker
from realtime.disconnect import LOGIN_ENDED, RIGHTS_CHANGED, TOKEN_EXPIRED
from realtime.hub import Hub
from realtime.node import Node
from realtime.wire import TokenRenew
from services.accounts.accounts import identifier
from services.accounts.foreign_tokens import ForeignTokens
from services.accounts.id_token import SKEW_S
from services.accounts.keyring import load_key, make_key
from services.accounts.revoked import Revoked
from services.accounts.staff import AccountActs
from services.accounts.tokens import Tokens
from services.apps.lent import Callers
from services.audit.entry import SYSTEM
from services.kernel.caller import Caller
from tests.gateway.sockets.build import Client, Gateway, open_client, open_gateway
from tests.support.foreign import ELSEWHERE, SET, Issuer
from tests.support.world import World

LIFE_S = 600


class House:
    """A gateway wired as the program is, which trusts one issuer, and Anna, who is linked to it."""

    def __init__(self, database: Database) -> None:
        self.world = World(database)
        self.clock = self.world.clock
        self.issuer = Issuer(self.clock)
        self.node = Node("one", Hub(), InMemoryBroker(), self.clock)
        self.revoked = Revoked(self.clock)
        identify = self.revoked.guarding(identifier(Tokens(load_key(make_key())), self.clock))
        foreign = ForeignTokens(self.world.transactions, (self.issuer.provider(),), self.clock, self.world.ids)
        self.callers = Callers(identify, self.world.transactions, self.clock, foreign)
        self.identify = identify
        self.renewals = Renewals(self.node.hub, identify, self.clock, ask=self.ask, must_ask=self.callers.is_foreign)
        self.revocation = Revocation(self.node, self.world.transactions, self.revoked, self.clock)
        self.acts = AccountActs(self.world.transactions, self.clock, self.world.ids)
        self.gateway: Gateway
        self.anna: Caller

    async def ask(self, token: str, _peer: str = "") -> Caller:
        return await self.callers.identify(token, anew=True)

    def token(self, **claims: object) -> str:
        return self.issuer.token(**{"scope": "studio.ride", "exp": self.issuer.now_s + LIFE_S, **claims})

    async def renew(self, client: Client, token: str) -> dict[str, Any]:
        return await client.call("token.renew", {"token": token})


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    house = House(database)
    house.anna = await house.world.account("Anna")
    await house.issuer.publish(house.world.transactions)
    await house.issuer.link(house.world.transactions, house.world.ids, house.anna.account_id)
    running = asyncio.create_task(house.node.run())
    try:
        async with open_gateway(
            house.clock,
            node=house.node,
            identify=house.identify,
            ask=house.ask,
            must_ask=house.callers.must_ask,
            renew=house.renewals.renew,
            ping_interval_s=10 * LIFE_S,  # nobody reads while the time passes
        ) as gateway:
            gateway.calls.greet = house.renewals.opened
            house.gateway = gateway
            yield house
    finally:
        running.cancel()
        await asyncio.wait({running})


async def bye(client: Client) -> int:
    """The code of the end of a connection; warnings before it are passed over."""
    while True:
        name, payload = await client.received()
        if name == "bye":
            return int(payload["code"])


async def test_the_next_token_of_the_issuer_keeps_a_connection_open(house: House) -> None:
    """ASVS 7.3.1."""
    async with open_client(house.gateway) as client:
        await client.connect(house.token())
        connection = house.gateway.connection()
        assert connection.caller.account_id == house.anna.account_id
        assert connection.caller.scopes == frozenset({"live:stream", "classes:join", "classes:read"})
        await house.clock.advance(LIFE_S - WARN_S)
        house.renewals.look()
        assert (await client.received())[0] == "token.expiring"
        renewed = await house.renew(client, house.token())
        assert renewed["ok"]["expires_in_ms"] == LIFE_S * 1_000
        await house.clock.advance(WARN_S)
        house.renewals.look()
        assert house.gateway.connection() is connection
        assert house.renewals.expired == 0
        await house.clock.advance(LIFE_S)
        house.renewals.look()
        assert await bye(client) == TOKEN_EXPIRED.code


async def test_nobody_becomes_somebody_else_and_other_rights_begin_anew(house: House) -> None:
    """ASVS 7.4.2, 8.3.2."""
    ben = await house.world.account("Ben")
    await house.issuer.link(house.world.transactions, house.world.ids, ben.account_id, "ben-2")
    async with open_client(house.gateway) as client:
        await client.connect(house.token())
        for wrong, code in (
            (house.token(sub="ben-2"), "forbidden"),
            (house.token(exp=house.issuer.now_s + 60), "forbidden"),
            (house.token(sub="nobody"), "not_authenticated"),
        ):
            assert (await house.renew(client, wrong))["problem"]["code"] == code
        assert "ok" in await house.renew(client, house.token(scope="studio.me"))
        assert await bye(client) == RIGHTS_CHANGED.code


async def test_who_has_gone_while_their_token_was_asked_about_is_not_looked_after_again(house: House) -> None:
    held, let_go = asyncio.Event(), asyncio.Event()

    async def slowly(token: str) -> Caller:
        held.set()
        await let_go.wait()
        return await house.ask(token)

    renewals = Renewals(house.node.hub, house.identify, house.clock, ask=slowly, must_ask=house.callers.is_foreign)
    async with open_client(house.gateway) as client:
        await client.connect(house.token())
        connection = house.gateway.connection()
        asked = renewals.renew(connection, TokenRenew(house.token()), None)  # type: ignore[arg-type]
        assert asked is not None
        waiting = asyncio.ensure_future(asked)
        await held.wait()
    await house.gateway.wait_until(lambda: not house.node.hub)
    let_go.set()
    await waiting
    assert renewals.renewed == 0


async def test_what_ends_logins_ends_an_open_connection_and_what_was_issued_until_then(house: House) -> None:
    """ASVS 7.4.1."""
    async with open_client(house.gateway) as client:
        old = house.token()
        await client.connect(old)
        await house.acts.end_logins(SYSTEM, house.anna.account_id, "a test")
        assert (await house.renew(client, house.token()))["problem"]["data"]["reason"] == "ended"
        await house.revocation.read()
        assert await bye(client) == LOGIN_ENDED.code
    async with open_client(house.gateway) as client:
        await client.text("40/live," + f'{{"token":"{old}"}}')
        assert '"reason":"ended"' in await client.packet()
    await house.clock.advance(SKEW_S + 1)
    async with open_client(house.gateway) as client:
        await client.connect(house.token())


async def test_the_socket_refuses_the_whole_confusion_set_in_the_handshake_and_on_the_open_socket(
    house: House,
) -> None:
    """OWASP API2, ASVS 9.1, 9.2."""
    for name, forge in ({name: forge for name, (forge, _) in SET.items()} | ELSEWHERE).items():
        await house.clock.advance(1)  # nobody is to be refused for trying too often
        async with open_client(house.gateway) as client:
            await client.text("40/live," + f'{{"token":"{forge(house.issuer)}"}}')
            answer = await client.packet()
            assert answer.startswith("44/live,"), name
            assert '"code":"not_authenticated"' in answer, name
            await client.connect(house.token())
            caller = house.gateway.connection().caller
            refused = await house.renew(client, forge(house.issuer))
            assert refused["problem"]["code"] in {"not_authenticated", "bad_shape"}, name
            assert house.gateway.connection().caller is caller
        await house.gateway.wait_until(lambda: not house.node.hub)
