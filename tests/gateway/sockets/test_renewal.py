"""A connection lives as long as its token, and a new token keeps it open without anybody noticing (ASVS 7.3.1, 7.4.2, 8.3.2)."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from gateway.sockets.renewal import STALE_ENTRIES, WARN_S, Renewals, fewer_rights, successor
from realtime.broker import InMemoryBroker
from realtime.codec import event_frame
from realtime.disconnect import RIGHTS_CHANGED, TOKEN_EXPIRED
from realtime.hub import Hub
from realtime.node import Node
from realtime.wire import ProblemEvent
from services.kernel.caller import AccountRole, Caller, Scope
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, AppId, ClassId, LoginId
from services.kernel.problems import Forbidden, NotAuthenticated, NotInRoom, TokenExpired
from tests.gateway.sockets.build import Client, Gateway, open_client, open_gateway
from tests.realtime import build

LIFE_S = 60
ROOM = ClassId(uuid.UUID(int=77))


def who(
    account: int = 1,
    *roles: AccountRole,
    expires_ms: int = 0,
    login: int | None = None,
    class_id: ClassId | None = None,
) -> Caller:
    return Caller(
        AccountId(uuid.UUID(int=account)),
        LoginId(uuid.UUID(int=account if login is None else login)),
        "Anna",
        frozenset(roles or ("member",)),
        expires_ms,
        class_id,
    )


def app(*scopes: Scope) -> Caller:
    return msgspec.structs.replace(who(), scopes=frozenset(scopes), app_id=AppId(uuid.UUID(int=4)))


class House:
    """A gateway whose tokens are "account roles expiry", and the part under test."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.node = Node("one", Hub(), InMemoryBroker(), self.clock)
        self.renewals = Renewals(self.node.hub, self.identify, self.clock)
        self.gateway: Gateway

    def token(self, account: int = 1, roles: str = "member", *, life_s: int = LIFE_S, login: int | None = None) -> str:
        expires = self.clock.wall_ms() + life_s * 1_000
        return f"{account} {account if login is None else login} {roles} {expires}"

    def identify(self, token: str) -> Caller:
        try:
            account, login, roles, expires = token.split(" ")
        except ValueError:
            raise NotAuthenticated from None
        if int(expires) <= self.clock.wall_ms():
            raise TokenExpired
        found: Caller = msgspec.structs.replace(
            who(int(account), expires_ms=int(expires), login=int(login)), roles=frozenset(roles.split(","))
        )
        return found

    async def renew(self, client: Client, token: str) -> dict[str, Any]:
        return await client.call("token.renew", {"token": token})


@asynccontextmanager
async def opened() -> AsyncIterator[House]:
    house = House()
    running = asyncio.create_task(house.node.run())
    watching = asyncio.create_task(house.renewals.run())
    try:
        async with open_gateway(
            house.clock,
            node=house.node,
            identify=house.identify,
            renew=house.renewals.renew,
            ping_interval_s=10 * LIFE_S,  # nobody reads while the time passes
        ) as gateway:
            gateway.calls.greet = house.renewals.opened
            house.gateway = gateway
            yield house
    finally:
        for task in (running, watching):
            task.cancel()
        await asyncio.wait({running, watching})


async def expiring(client: Client) -> dict[str, Any]:
    name, payload = await client.received()
    assert name == "token.expiring"
    return payload


class TestOnTheSocket:
    async def test_the_warning_comes_before_the_end_and_the_end_says_to_come_back_with_a_new_token(self) -> None:
        async with opened() as house, open_client(house.gateway) as client:
            expires_ms = house.clock.wall_ms() + LIFE_S * 1_000
            await client.connect(house.token())
            await house.gateway.pass_time(LIFE_S - WARN_S + 1)
            warned = await expiring(client)
            assert warned["expires_at_ms"] == expires_ms
            assert 0 < warned["expires_in_ms"] <= WARN_S * 1_000
            await house.gateway.pass_time(WARN_S - 1)
            name, bye = await client.received()
            assert (name, bye["code"]) == ("bye", TOKEN_EXPIRED.code)
            assert bye["come_back_ms"] is not None
            assert await client.closed() == TOKEN_EXPIRED.code
            assert house.renewals.expired == 1
            closed = house.gateway.calls.closed
            await house.gateway.wait_until(lambda: [reason for _, reason in closed] == ["token_expired"])

    async def test_a_renewed_connection_outlives_its_first_token_and_says_nothing_else(self) -> None:
        async with opened() as house, open_client(house.gateway) as client:
            await client.connect(house.token())
            connection = house.gateway.connection()
            for _ in range(3):
                await house.gateway.pass_time(LIFE_S - WARN_S + 1)
                await expiring(client)
                answer = await house.renew(client, house.token())
                assert answer["ok"]["expires_at_ms"] == house.clock.wall_ms() + LIFE_S * 1_000
                assert answer["ok"]["expires_in_ms"] == LIFE_S * 1_000
            await house.gateway.pass_time(WARN_S + 1)
            await expiring(client)  # of the last one
            assert house.gateway.connection() is connection
            assert not connection.closed
            assert house.gateway.calls.closed == []
            assert house.renewals.renewed == 3
            answer = await client.call("board.get", {"class_id": str(ROOM)})
            assert "ok" in answer

    async def test_what_was_under_way_is_answered_after_the_renewal(self) -> None:
        async with opened() as house, open_client(house.gateway) as client:
            await client.connect(house.token())
            samples = {"stream": str(uuid.UUID(int=5)), "seq": 0, "samples": [[0, 120]]}
            asked = await client.event("stream.samples", samples)
            await house.gateway.wait_until(lambda: len(house.gateway.calls.withheld) == 1)
            assert "ok" in await house.renew(client, house.token(life_s=LIFE_S + 1))
            house.gateway.calls.withheld[0].problem(NotInRoom())
            assert (await client.ack(asked))["problem"]["code"] == "not_in_room"

    async def test_the_token_of_another_account_or_login_is_refused_and_changes_nothing(self) -> None:
        """ASVS 7.2.4: nobody becomes somebody else on a connection."""
        async with opened() as house, open_client(house.gateway) as client:
            await client.connect(house.token())
            caller = house.gateway.connection().caller
            for token in (house.token(2), house.token(1, login=9), house.token(2, login=1)):
                assert (await house.renew(client, token))["problem"]["code"] == "forbidden"
            assert house.gateway.connection().caller is caller

    async def test_what_is_no_good_token_is_refused_and_the_old_one_goes_on(self) -> None:
        async with opened() as house, open_client(house.gateway) as client:
            await client.connect(house.token())
            old = house.token(life_s=1)
            await house.gateway.pass_time(2)
            assert (await house.renew(client, old))["problem"]["code"] == "token_expired"
            assert (await house.renew(client, "nonsense"))["problem"]["code"] == "not_authenticated"
            assert (await house.renew(client, ""))["problem"]["code"] == "bad_shape"
            assert not house.gateway.connection().closed

    async def test_a_role_that_was_taken_away_does_not_come_back_with_the_token_before(self) -> None:
        """ASVS 8.3.2."""
        async with opened() as house, open_client(house.gateway) as client:
            was_coach = house.token(1, "member,coach")
            await house.gateway.pass_time(2)
            await client.connect(house.token())
            answer = await house.renew(client, was_coach)
            assert answer["problem"]["code"] == "forbidden"
            assert house.gateway.connection().caller.roles == {"member"}

    async def test_fewer_rights_take_effect_in_that_step_and_close_what_was_entered_with_more(self) -> None:
        """ASVS 7.4.2, 8.3.2."""
        async with opened() as house, open_client(house.gateway) as client:
            await client.connect(house.token(1, "member,coach"))
            connection = house.gateway.connection()
            assert "ok" in await house.renew(client, house.token(1, "member"))
            assert connection.caller.roles == {"member"}
            assert connection.ending is RIGHTS_CHANGED
            assert await client.closed() == RIGHTS_CHANGED.code

    async def test_more_rights_are_there_at_once_and_close_nothing(self) -> None:
        async with opened() as house, open_client(house.gateway) as client:
            await client.connect(house.token())
            assert "ok" in await house.renew(client, house.token(1, "member,coach"))
            connection = house.gateway.connection()
            assert connection.caller.roles == {"member", "coach"}
            assert not connection.closed

    async def test_a_warning_stands_in_the_mailbox_of_a_slow_phone_like_what_must_arrive(self) -> None:
        house, slow = House(), build.connection("slow")
        slow.caller = who(expires_ms=house.clock.wall_ms() + 1_000)
        house.node.hub.add(slow)
        house.renewals.opened(slow)
        while not slow.dropped:
            slow.push(event_frame("problem", ProblemEvent(event="x", problem=NotInRoom("x" * 9_000).view())))
        house.renewals.look()
        assert not slow.closed
        said = [frame.ws for frame in iter(slow.mailbox.take, None)]
        assert b"token.expiring" in said[-1]


class TestWhoSucceeds:
    def test_a_screen_is_renewed_by_any_token_for_its_class_and_stays_who_it_was(self) -> None:
        had = who(1, "display", expires_ms=1, class_id=ROOM)
        has = who(2, "display", expires_ms=2, class_id=ROOM)
        after = successor(had, has)
        assert (after.account_id, after.login_id, after.expires_at_ms) == (had.account_id, had.login_id, 2)

    @pytest.mark.parametrize(
        ("had", "has"),
        [
            (who(1, "display", class_id=ROOM), who(1, "display", class_id=ClassId(uuid.UUID(int=8)))),
            (who(1, "display", class_id=ROOM), who(1)),
            (who(1), who(1, "display", class_id=ROOM)),
            (who(1), who(2)),
            (who(1), who(1, login=2)),
            (who(1, expires_ms=2), who(1, expires_ms=1)),
            (who(1), app("live:stream")),
            (app("live:stream"), who(1)),
        ],
    )
    def test_nobody_else_and_nothing_older_does(self, had: Caller, has: Caller) -> None:
        with pytest.raises(Forbidden):
            successor(had, has)

    @pytest.mark.parametrize(
        ("had", "has", "fewer"),
        [
            (who(1, "member"), who(1, "member"), False),
            (who(1, "member"), who(1, "member", "coach"), False),
            (who(1, "member", "coach"), who(1, "member"), True),
            (who(1, "coach"), who(1, "member"), True),
            (app("live:stream"), app("live:stream"), False),
            (app("live:stream", "classes:chat"), app("live:stream"), True),
            (app("live:stream"), app("live:stream", "classes:chat"), True),
            (who(1), app("live:stream"), True),
        ],
    )
    def test_rights_are_fewer_when_one_is_missing_whatever_is_new(self, had: Caller, has: Caller, fewer: bool) -> None:
        assert fewer_rights(had, has) is fewer


def test_connections_that_come_and_go_do_not_pile_up_until_their_tokens_would_have_expired() -> None:
    house = House()
    for number in range(10 * STALE_ENTRIES):
        one = build.connection(f"c{number}")
        one.caller = who(expires_ms=house.clock.wall_ms() + 10**7)
        house.renewals.opened(one)
        house.renewals.closed(one)
        assert len(house.renewals._heap) <= STALE_ENTRIES + 2
