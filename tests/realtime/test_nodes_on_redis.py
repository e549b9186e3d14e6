"""Two nodes over real Redis servers: frames arrive as they left, boards agree, and a slot may move in the middle of it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from realtime.codec import event_frame
from realtime.frame import Frame
from realtime.hub import Hub
from realtime.node import Node
from realtime.peer import Share, WholeWanted
from realtime.redis_broker import RedisBroker
from realtime.redis_servers import RedisServers
from realtime.wire import StreamTaken
from rooms.room import Room
from services.classes.live_class import LiveClass, Membership
from services.kernel.clock import SystemClock
from services.kernel.ids import AccountId, StreamId
from tests.realtime import build
from tests.support.redis_cluster import open_cluster
from tests.support.redis_server import open_redis

WAIT_S = 15.0
NOW_MS = 1_790_000_000_000
COACH = AccountId(uuid.UUID(int=99))
LIVE = LiveClass(build.ROOM, "ABCD", "Spin", COACH, "Kim", NOW_MS)
ATHLETE = Membership(AccountId(uuid.UUID(int=1)), "Anna", 1, "athlete")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def two_nodes(url: str) -> AsyncIterator[tuple[Node, Node]]:
    async with AsyncExitStack() as stack:
        nodes = []
        for name in ("one", "two"):
            servers = RedisServers(url)
            stack.push_async_callback(servers.close)
            nodes.append(Node(name, Hub(), RedisBroker(servers, SystemClock()), SystemClock()))
        loops = [asyncio.create_task(node.run()) for node in nodes]
        try:
            await until(lambda: all(node.ready() for node in nodes))
            yield nodes[0], nodes[1]
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.wait(loops)


def numbered(number: int) -> Frame:
    return event_frame("stream.taken", StreamTaken(StreamId(uuid.UUID(int=5)), number))


async def begun(node: Node, channel: str, do: Callable[[], None]) -> None:
    """Do what makes a node follow a channel, and wait until it hears it."""
    gaps: list[str] = []
    node.on_gap(gaps.extend)
    do()
    await until(lambda: channel in gaps)


@pytest.mark.parametrize("kind", ["one", "shards", "cluster"])
async def test_a_frame_arrives_as_the_very_bytes_that_left(kind: str) -> None:
    async with AsyncExitStack() as stack:
        if kind == "cluster":
            url = (await stack.enter_async_context(open_cluster())).url
        else:
            count = 2 if kind == "shards" else 1
            url = ",".join([(await stack.enter_async_context(open_redis())).url for _ in range(count)])
        one, two = await stack.enter_async_context(two_nodes(url))
        member = build.connection("member", 7)
        two.add(member)
        for room in range(10):
            await begun(two, f"room:{room}", lambda room=room: two.join(member, f"room:{room}"))  # type: ignore[misc]
        said = [build.ended("é" * size) for size in (1, 100, 40_000)]
        for room in range(10):
            for frame in said:
                one.tell(f"room:{room}", frame)
        await until(lambda: len(member.mailbox) == 30)
        assert sorted(frame.ws for frame in build.taken(member.mailbox)) == sorted(frame.ws for frame in said * 10)
        assert two.statistics().not_understood == 0


async def test_a_slot_that_moves_during_a_class_leaves_no_stale_board_and_no_silent_gap() -> None:
    async with open_cluster() as cluster, two_nodes(cluster.url) as (one, two):
        here, there = Room(LIVE, "one", NOW_MS), Room(LIVE, "two", NOW_MS)
        here.seat(ATHLETE)
        channel = here.channel
        member = build.connection("member", 7)
        story: list[int | None] = []
        taken = member.mailbox

        def on_share(_: str, share: Share) -> None:
            there.merge(share)

        def whole(_: str, __: WholeWanted) -> None:
            if (share := here.share(whole=True)) is not None:
                one.publish(channel, share)

        def gap(channels: tuple[str, ...]) -> None:
            if channel in channels:
                note()
                story.append(None)
                two.publish(channel, WholeWanted(node="two"))

        def note() -> None:
            story.extend(int(frame.ws.rpartition(b":")[2].rstrip(b"}]")) for frame in build.taken(taken))

        two.listen(Share, on_share)
        two.on_gap(gap)
        one.listen(WholeWanted, whole)
        two.add(member)
        await begun(one, channel, lambda: one.follow(channel))
        await begun(two, channel, lambda: two.join(member, channel))

        said = 0

        async def teach() -> None:
            nonlocal said
            while True:
                here.feed(
                    ATHLETE.account_id, feed_epoch=1, bpm=100 + said % 80, zone=3, at_ms=NOW_MS + said, max_hr=190,
                    zone_ms=(0, 0, 0, said, 0, 0),
                )  # fmt: skip
                if (share := here.share(whole=False)) is not None:
                    one.publish(channel, share)
                one.tell(channel, numbered(said))
                said += 1
                await asyncio.sleep(0.002)

        teaching = asyncio.create_task(teach())
        for gaps in (1, 2):
            before = said
            await until(lambda before=before: said > before + 20)  # type: ignore[misc]
            await cluster.move(f"paceline:{{{channel}}}".encode())
            await until(lambda gaps=gaps: story.count(None) > gaps)  # type: ignore[misc]
        last = said
        await until(lambda: said > last + 20)
        teaching.cancel()
        await asyncio.wait([teaching])
        one.tell(channel, numbered(said))

        def all_heard() -> bool:
            note()
            return said in story

        await until(all_heard)
        assert silently_lost(story) == set()
        await until(lambda: there.board.line(ATHLETE.account_id) == here.board.line(ATHLETE.account_id))


def silently_lost(story: list[int | None]) -> set[int]:
    """What was not heard although no gap was told between its neighbours."""
    lost: set[int] = set()
    heard = {number for number in story if number is not None}
    before: int | None = None
    for number in story:
        if number is not None and before is not None:
            lost |= set(range(before + 1, number)) - heard
        before = number
    return lost
