"""A connection that comes back: over real WebSockets, against a gateway that does what servers do."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from loadtest.api import Grant, Refusal
from loadtest.link import Link, LinkEnded, LinkLost
from loadtest.tokens import Tokens
from realtime.limits import EVENTS_BURST, EVENTS_PER_SECOND, TokenBucket
from realtime.wire import BoardChanges, Done, RoomRef
from services.kernel.ids import ClassId, Uuid7Ids
from tests.loadtest.gateway import Peer, ScriptedGateway, open_gateway
from tests.loadtest.quick_clock import QuickClock

REF = RoomRef(class_id=ClassId(Uuid7Ids(QuickClock()).next()))


@asynccontextmanager
async def linked(
    serve: Callable[[Peer], Awaitable[None]], *, patience_s: float = 300, clock: QuickClock | None = None
) -> AsyncIterator[tuple[Link, ScriptedGateway, "asyncio.Task[None]"]]:
    clock = clock or QuickClock()
    renewals = iter(range(2, 100))

    async def renew(_: Grant) -> Grant:
        return Grant(access_token=f"token {next(renewals)}", expires_in_s=900)

    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        gateway.on_socket = serve
        tokens = Tokens(clock, Grant(access_token="token 1", expires_in_s=10**9), renew)
        link = Link(http, gateway.base_url, tokens, clock=clock, rng=random.Random(1), patience_s=patience_s)
        task = asyncio.create_task(link.run())
        try:
            yield link, gateway, task
        finally:
            await link.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_an_event_gets_its_own_answer_whatever_the_order_of_answers() -> None:
    async def serve(peer: Peer) -> None:
        await peer.let_in()
        await peer.hear()
        await peer.hear()
        await peer.say('43/live,2[{"problem":{"code":"not_in_room","message":"Join first."}}]')
        await peer.say('43/live,1[{"ok":{}}]')
        await peer.stay()

    async with linked(serve) as (link, _, _):
        await link.opened()
        first = asyncio.create_task(link.call("room.leave", REF, Done))
        second = asyncio.create_task(link.call("board.get", REF, Done))
        assert await first == Done()
        with pytest.raises(Refusal, match=r"Join first\. \(not_in_room\)"):
            await second


async def test_an_answer_that_was_under_way_when_the_connection_broke_is_lost_not_guessed() -> None:
    async def serve(peer: Peer) -> None:
        await peer.let_in()
        if peer.number == 1:
            await peer.hear()
            return
        await peer.stay()

    async with linked(serve) as (link, _, _):
        assert await link.opened() == 1
        with pytest.raises(LinkLost, match=r"before room\.leave was answered"):
            await link.call("room.leave", REF, Done)
        assert await link.opened() == 2


async def test_no_more_is_sent_than_a_server_grants_a_connection() -> None:
    async def serve(peer: Peer) -> None:
        await peer.let_in()
        await peer.stay()

    clock = QuickClock()
    async with linked(serve, clock=clock) as (link, _, _):
        await link.opened()
        granted = TokenBucket(EVENTS_PER_SECOND, EVENTS_BURST, clock.monotonic())
        for _ in range(5 * int(EVENTS_BURST)):
            await link.request("room.leave", REF, lambda _: None)
            assert granted.take(clock.monotonic())


async def test_a_ping_is_answered_at_once() -> None:
    heard: list[str] = []
    done = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.let_in()
        await peer.say("2")
        heard.append(await peer.hear())
        done.set()
        await peer.stay()

    async with linked(serve):
        await done.wait()
    assert heard == ["3"]


async def test_a_server_that_falls_silent_is_left() -> None:
    async def serve(peer: Peer) -> None:
        await peer.let_in(ping_ms=30, wait_ms=30)
        await peer.stay()

    async with linked(serve) as (link, gateway, _):
        again = asyncio.Event()
        link.watch(lambda: again.set() if link.connection == 2 else None)
        await again.wait()
        assert gateway.sockets >= 2


async def test_an_expired_token_is_renewed_and_the_connection_made_with_the_new_one() -> None:
    tokens: list[str] = []

    async def serve(peer: Peer) -> None:
        if peer.number == 1:
            await peer.refuse("token_expired")
            return
        tokens.append(await peer.let_in())
        await peer.stay()

    async with linked(serve) as (link, _, _):
        await link.opened()
    assert tokens == ["token 2"]


async def test_a_refusal_for_good_ends_the_link_with_its_reason() -> None:
    async def serve(peer: Peer) -> None:
        await peer.refuse("forbidden")

    async with linked(serve) as (link, gateway, task):
        with pytest.raises(LinkEnded, match="no: forbidden"):
            await link.opened()
        with pytest.raises(Refusal, match="connect: no: forbidden"):
            await task
        assert gateway.sockets == 1


async def test_a_fresh_token_that_is_refused_is_not_renewed_for_ever() -> None:
    async def serve(peer: Peer) -> None:
        await peer.refuse("not_authenticated")

    async with linked(serve) as (_, gateway, task):
        with pytest.raises(Refusal):
            await task
        assert gateway.sockets == 2


async def test_a_server_that_says_when_to_come_back_is_believed() -> None:
    clock = QuickClock()

    async def serve(peer: Peer) -> None:
        await peer.let_in()
        if peer.number == 1:
            await peer.event("bye", {"code": 3000, "reason": "draining", "come_back_ms": 40_000})
            return
        await peer.stay()

    async with linked(serve, clock=clock) as (link, _, _):
        again = asyncio.Event()
        link.watch(lambda: again.set() if link.connection == 2 else None)
        await again.wait()
    assert 20 <= clock.slept[0] <= 60


async def test_a_server_that_sends_us_away_for_good_is_believed_too() -> None:
    async def serve(peer: Peer) -> None:
        await peer.let_in()
        await peer.event("bye", {"code": 3502, "reason": "login ended"})

    async with linked(serve) as (link, gateway, task):
        await task
        with pytest.raises(LinkEnded, match=r"login ended \(3502\)"):
            await link.opened()
        assert gateway.sockets == 1


async def test_a_server_that_stays_away_ends_the_link_when_patience_does() -> None:
    async with aiohttp.ClientSession() as http:
        clock = QuickClock()

        async def renew(grant: Grant) -> Grant:
            return grant

        tokens = Tokens(clock, Grant(access_token="t", expires_in_s=10**9), renew)
        told: list[str] = []
        link = Link(
            http, "http://127.0.0.1:9", tokens, clock=clock, rng=random.Random(1), patience_s=60, tell=told.append
        )
        with pytest.raises(LinkEnded, match=r"no answer for 60 s \(127\.0\.0\.1 port 9 does not answer"):
            await link.run()
        assert told[-1].startswith("waiting for the server (")


async def test_boards_that_nobody_reads_are_never_parsed_and_may_be_counted() -> None:
    board = '42/live,["board.changes",{this is not even JSON'

    async def serve(peer: Peer) -> None:
        await peer.let_in()
        await peer.say(board)
        await peer.say(board)
        await peer.hear()
        await peer.say('43/live,1[{"ok":{}}]')
        await peer.stay()

    async with linked(serve) as (link, _, _):
        frames: list[bytes] = []
        link.on_raw("board.changes", frames.append)
        await link.opened()
        assert await link.call("room.leave", REF, Done) == Done()
    assert frames == [board.encode()] * 2


async def test_an_event_reaches_its_handlers_in_its_shape_until_they_are_taken_back() -> None:
    changes = BoardChanges(class_id=REF.class_id, epoch="e", v=1, at_ms=5)
    seen: list[BoardChanges] = []

    async def serve(peer: Peer) -> None:
        await peer.let_in()
        for number in (1, 2):
            await peer.hear()
            await peer.event("board.changes", changes)
            await peer.say(f'43/live,{number}[{{"ok":{{}}}}]')
        await peer.stay()

    async with linked(serve) as (link, _, _):
        forget = link.on("board.changes", seen.append)
        await link.opened()
        await link.call("room.leave", REF, Done)
        forget()
        await link.call("room.leave", REF, Done)
    assert seen == [changes]


async def test_a_frame_that_is_none_ends_the_connection_and_not_the_link() -> None:
    async def serve(peer: Peer) -> None:
        await peer.let_in()
        if peer.number == 1:
            await peer.say("what is this")
        await peer.stay()

    async with linked(serve) as (link, _, _):
        again = asyncio.Event()
        link.watch(lambda: again.set() if link.connection == 2 else None)
        await again.wait()


async def test_greetings_are_sent_on_every_connection_before_anything_else() -> None:
    first_words: list[str] = []
    twice = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.let_in()
        first_words.append(await peer.hear())
        if peer.number == 1:
            return
        twice.set()
        await peer.stay()

    async with linked(serve) as (link, _, _):

        async def greet() -> None:
            await link.request("room.leave", REF, lambda _: None)

        link.greet(greet)
        await twice.wait()
    assert [words.partition("[")[2][:12] for words in first_words] == ['"room.leave"'] * 2


async def test_nothing_is_sent_while_there_is_no_connection() -> None:
    async def serve(peer: Peer) -> None:
        await peer.stay()

    async with linked(serve) as (link, _, _):
        with pytest.raises(LinkLost, match="was not sent"):
            await link.request("room.leave", REF, lambda _: None)


async def test_a_token_that_is_about_to_expire_is_renewed_on_the_connection_there_is() -> None:
    shown = asyncio.Queue[str]()

    async def serve(peer: Peer) -> None:
        await peer.let_in()
        await peer.event("token.expiring", {"expires_at_ms": 1, "expires_in_ms": 45_000})
        shown.put_nowait(await peer.hear())
        await peer.say('43/live,1[{"ok":{"expires_at_ms":2,"expires_in_ms":900000}}]')
        await peer.stay()

    async with linked(serve) as (link, gateway, _):
        assert await link.opened() == 1
        async with asyncio.timeout(30):
            assert '["token.renew",{"token":"token 2"}]' in await shown.get()
        assert (link.connection, gateway.sockets) == (1, 1)


async def test_a_token_that_cannot_be_renewed_leaves_the_connection_as_it_is() -> None:
    told = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.let_in()
        await peer.event("token.expiring", {"expires_at_ms": 1, "expires_in_ms": 45_000})
        await peer.hear()
        await peer.say('43/live,1[{"problem":{"code":"forbidden","message":"another login"}}]')
        told.set()
        await peer.stay()

    async with linked(serve) as (link, gateway, _):
        await link.opened()
        async with asyncio.timeout(30):
            await told.wait()
            assert link._renewing is not None
            await link._renewing
        assert (link.connection, gateway.sockets) == (1, 1)
