"""One suite for every room log: in memory, on a Redis, and on a Redis 7 in cluster mode."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from realtime.position import Position, position_in, tail
from realtime.redis_commands import RedisCommands
from realtime.redis_room_log import RedisRoomLog
from realtime.redis_servers import RedisServers
from realtime.room_log import Appended, Entry, LogAway, MemoryRoomLog, RoomLog
from services.kernel.clock import ManualClock
from tests.realtime import build
from tests.support.redis_server import ANSWER_S, RedisServer, open_redis
from tests.support.server import free_port
from tests.support.system_parts import require

HEAD = b'["cue",{"text":"up","position":"'
KEEP_EVENTS = 8
LOST = 2
"""Events that were said between the copy of a log and its loss."""


@dataclass
class Subject:
    """A log of eight events, and what was said on its channels. `fall_back` undoes what came after `copy`: `LOST` events."""

    log: RoomLog
    said: list[tuple[str, bytes]]
    lose: Callable[[], Awaitable[None]]
    heard: Callable[[], Awaitable[None]]
    copy: Callable[[], Awaitable[None]]
    fall_back: Callable[[], Awaitable[None]]
    channel: str = field(default_factory=lambda: f"room:{secrets.token_hex(4)}")

    async def append(self, count: int = 1, channel: str | None = None) -> Position:
        """Append so many events; the position of the last."""
        for _ in range(count):
            last = await self.say(secrets.token_hex(8), channel)
        return last.position

    async def say(self, key: str, channel: str | None = None) -> Appended:
        """Append one event."""
        (appended,) = await self.append_all([Entry(HEAD, key)], channel)
        return appended

    async def append_all(self, entries: list[Entry], channel: str | None = None) -> list[Appended]:
        """Append these in one step."""
        return await build.appended(self.log, channel or self.channel, entries)

    async def top(self) -> Position:
        top = (await self.log.tops((self.channel,)))[self.channel]
        assert isinstance(top, Position)
        return top


@pytest.fixture(params=["memory", "redis", "cluster"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "memory":
        said: list[tuple[str, bytes]] = []
        memory = MemoryRoomLog(
            lambda channel, data: said.append((channel, data)), ManualClock(), keep_events=KEEP_EVENTS
        )

        async def forget() -> None:
            memory.forget()

        async def nothing() -> None:
            """It has been said already; and of which events there is a copy is said afterwards."""

        async def fall_back() -> None:
            memory.fall_back(LOST)

        yield Subject(memory, said, forget, nothing, nothing, fall_back)
        return
    words = (
        ("--cluster-enabled", "yes", "--port", str(free_port()), "--cluster-port", str(free_port()))
        if request.param == "cluster"
        else ()
    )
    program = require("redis") if request.param == "cluster" else None
    async with open_redis(*words, program=program) as server, on_redis(server, request.param == "cluster") as made:
        yield made


class on_redis:  # noqa: N801 - reads as a verb
    """A log on a server, with an ear of its own on all channels that are asked for."""

    def __init__(self, server: RedisServer, cluster: bool) -> None:
        self._server = server
        self._cluster = cluster

    async def __aenter__(self) -> Subject:
        if self._cluster:
            assert await self._server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383") == "+OK"
            await self._ready()
        self._servers = RedisServers(self._server.url)
        if self._cluster:
            self._servers.publish_word = b"SPUBLISH"  # type: ignore[misc]
        self._ear = Redis.from_url(self._server.url)
        pubsub = self._ear.pubsub()
        said: list[tuple[str, bytes]] = []
        log = RedisRoomLog(RedisCommands(self._servers), keep_events=KEEP_EVENTS)
        made = Subject(log, said, self._lose, self._hear, self._copy, self._fall_back)
        name = self._servers.name(made.channel)
        await (pubsub.ssubscribe(name) if self._cluster else pubsub.subscribe(name))
        self._pubsub, self._said, self._channel = pubsub, said, made.channel
        await self._message()
        return made

    async def __aexit__(self, *_: object) -> None:
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        await self._ear.aclose()
        await self._servers.close()

    async def _lose(self) -> None:
        await self._server.command("FLUSHALL")

    async def _copy(self) -> None:
        assert await self._server.command("SAVE") == "+OK"

    async def _fall_back(self) -> None:
        """It dies and starts again with what was saved."""
        await self._server.kill()
        await self._server.start()
        if self._cluster:
            await self._ready()

    async def _ready(self) -> None:
        async with asyncio.timeout(ANSWER_S):
            while await self._server.command("SET", "probe", "1") != "+OK":
                await asyncio.sleep(0.01)

    async def _hear(self) -> None:
        while (message := await self._message()) is not None:
            self._said.append((self._channel, message["data"]))

    async def _message(self) -> dict[str, bytes] | None:
        found: dict[str, bytes] | None = await self._pubsub.get_message(timeout=0.3)
        return found


async def test_a_message_is_stored_at_the_next_position_and_said_as_it_is_stored(subject: Subject) -> None:
    first, second = await subject.append(), await subject.append()
    assert second.follows(first)
    assert first.offset == 1
    read = await subject.log.since(subject.channel, Position(first.epoch, 0))
    assert read.messages == (HEAD + tail(first), HEAD + tail(second))
    assert [position_in(message) for message in read.messages] == [first, second]
    await subject.heard()
    assert [data for _, data in subject.said] == list(read.messages)


async def test_the_same_key_is_stored_and_said_once_by_fifty_at_the_same_time(subject: Subject) -> None:
    appended = await asyncio.gather(*(subject.say("one key") for _ in range(50)))
    assert len({one.position for one in appended}) == 1
    assert [one.repeated for one in appended].count(False) == 1
    await subject.heard()
    assert len(subject.said) == 1
    assert (await subject.top()).offset == 1


async def test_fifty_at_the_same_time_get_fifty_positions_without_a_hole(subject: Subject) -> None:
    appended = await asyncio.gather(*(subject.append() for _ in range(50)))
    assert sorted(position.offset for position in appended) == list(range(1, 51))
    await subject.heard()
    # Everybody hears them in the order in which they are stored.
    assert [position_in(data).offset for _, data in subject.said] == list(range(1, 51))


async def test_several_in_one_step_are_stored_and_said_in_their_order_each_key_once(subject: Subject) -> None:
    before = await subject.append()
    heads = [HEAD.replace(b"up", b"%d" % number) for number in range(4)]
    keys = ["a", "b", "a", "c"]
    told = await subject.append_all([Entry(head, key) for head, key in zip(heads, keys, strict=True)])
    assert [(one.position.offset, one.repeated) for one in told] == [(2, False), (3, False), (2, True), (4, False)]
    read = await subject.log.since(subject.channel, before)
    assert read.messages == tuple(heads[index] + tail(told[index].position) for index in (0, 1, 3))
    await subject.heard()
    assert [data for _, data in subject.said][1:] == list(read.messages)


async def test_logs_do_not_know_of_each_other(subject: Subject) -> None:
    here, there = await subject.append(), await subject.append(channel="room:other")
    assert (here.offset, there.offset) == (1, 1)
    assert here.epoch != there.epoch
    assert (await subject.log.since("room:other", here)).messages is None
    assert await subject.log.tops((subject.channel, "room:other")) == {subject.channel: here, "room:other": there}


async def test_what_was_trimmed_is_never_taken_for_what_never_was(subject: Subject) -> None:
    last = await subject.append(KEEP_EVENTS + 2)
    read = await subject.log.since(subject.channel, Position(last.epoch, 2))
    assert read.messages is not None
    assert len(read.messages) == KEEP_EVENTS
    assert (await subject.log.since(subject.channel, Position(last.epoch, 1))).messages is None
    assert (await subject.log.since(subject.channel, Position(last.epoch, 1))).top == last


async def test_more_than_was_asked_for_is_not_given_in_part(subject: Subject) -> None:
    last = await subject.append(5)
    before = Position(last.epoch, 0)
    assert (await subject.log.since(subject.channel, before, events=4)).messages is None
    assert (await subject.log.since(subject.channel, before, size=4 * len(HEAD + tail(last)))).messages is None
    assert (await subject.log.since(subject.channel, before, events=5)).messages is not None


async def test_it_is_read_backwards_page_by_page_to_the_oldest_that_is_kept(subject: Subject) -> None:
    last = await subject.append(KEEP_EVENTS + 2)
    newest = await subject.log.back(subject.channel, last.moved(1), events=5)
    assert [position_in(message).offset for message in newest.messages] == [10, 9, 8, 7, 6]
    older = await subject.log.back(subject.channel, position_in(newest.messages[-1]), events=5)
    assert [position_in(message).offset for message in older.messages] == [5, 4, 3]
    assert (await subject.log.back(subject.channel, Position(last.epoch, 3), events=5)).messages == ()
    assert (await subject.log.back(subject.channel, Position(last.epoch, 1), events=5)).messages == ()
    # A position that the log has not reached yet is its end.
    assert (await subject.log.back(subject.channel, last.moved(99), events=1)).messages == newest.messages[:1]
    assert newest.top == older.top == last


async def test_a_page_has_as_much_as_fits_and_one_event_in_any_case(subject: Subject) -> None:
    last = await subject.append(4)
    end, size = last.moved(1), len(HEAD + tail(last))
    assert len((await subject.log.back(subject.channel, end, size=2 * size)).messages) == 2
    assert len((await subject.log.back(subject.channel, end, size=1)).messages) == 1


async def test_before_a_position_of_another_epoch_there_is_nothing(subject: Subject) -> None:
    before = await subject.append(3)
    await subject.lose()
    assert (await subject.log.back(subject.channel, before)).messages == ()
    await subject.append(3)
    assert (await subject.log.back(subject.channel, before)).messages == ()


async def test_the_end_of_a_log_that_is_not_there_begins_it(subject: Subject) -> None:
    top = await subject.top()
    assert top.offset == 0
    assert await subject.top() == top
    assert (await subject.log.since(subject.channel, top)).messages == ()
    assert (await subject.append()).follows(top)


async def test_a_log_that_was_lost_has_another_epoch(subject: Subject) -> None:
    before = await subject.append(3)
    await subject.lose()
    read = await subject.log.since(subject.channel, before)
    assert read.messages is None
    assert read.top.epoch != before.epoch
    assert (await subject.append()).epoch == read.top.epoch


async def test_a_log_that_has_lost_its_end_begins_another_epoch(subject: Subject) -> None:
    last = await subject.append(3)
    read = await subject.log.since(subject.channel, last.moved(2))
    assert read.messages is None
    assert read.top.epoch != last.epoch
    after = await subject.append()
    assert after.follows(read.top)
    assert (await subject.log.since(subject.channel, last)).messages is None


@pytest.mark.parametrize("count", [LOST - 1, LOST, LOST + 1])
async def test_a_log_that_has_lost_its_end_gives_no_position_twice_whoever_appends(
    subject: Subject, count: int
) -> None:
    kept = await subject.append(2)
    await subject.copy()
    lost = await subject.append(LOST)
    await subject.fall_back()
    after = await subject.append(count)
    assert after.epoch != lost.epoch
    assert after.offset == count
    for before in (kept, lost):
        read = await subject.log.since(subject.channel, before)
        assert read.messages is None
        assert read.top == after
    assert (await subject.append()).follows(after)


async def test_a_key_outlives_other_events(subject: Subject) -> None:
    first = await subject.say("a key")
    await subject.append(KEEP_EVENTS + 1)
    again = await subject.say("a key")
    assert again.repeated
    assert again.position == first.position


# -- only Redis can be away, full, or start again ---------------------------------------------------------------------


async def test_a_full_redis_stores_nothing_says_nothing_and_gives_no_position_away() -> None:
    async with open_redis() as server, on_redis(server, cluster=False) as subject:
        before = await subject.append()
        await server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await server.command("CONFIG", "SET", "maxmemory", "1")
        for _ in range(3):
            with pytest.raises(LogAway, match="OOM"):
                await subject.append()
        await server.command("CONFIG", "SET", "maxmemory", "0")
        assert (await subject.append()).follows(before)
        await subject.heard()
        assert [position_in(data).offset for _, data in subject.said] == [1, 2]


async def test_a_redis_that_does_not_answer_is_told_and_the_key_makes_it_safe_to_ask_again() -> None:
    async with open_redis() as server, on_redis(server, cluster=False) as subject:
        await subject.append()
        server.freeze()
        with pytest.raises(LogAway):
            await subject.say("a key")
        server.thaw()
        again = await subject.say("a key")
        assert again.position.offset == 2
        assert (await subject.top()).offset == 2


async def test_a_redis_that_starts_again_empty_is_given_the_scripts_anew() -> None:
    async with open_redis() as server, on_redis(server, cluster=False) as subject:
        before = await subject.append(2)
        await server.kill()
        with pytest.raises(LogAway):
            await subject.append()
        await server.start()
        after = await subject.append()
        assert after.offset == 1
        assert after.epoch != before.epoch


async def test_an_orphan_stream_is_not_read_as_the_log_that_begins_anew() -> None:
    async with open_redis() as server, on_redis(server, cluster=False) as subject:
        await subject.append(4)
        await server.command("DEL", f"paceline:{{{subject.channel}}}:meta")
        after = await subject.append()
        read = await subject.log.since(subject.channel, Position(after.epoch, 0))
        assert after.offset == 1
        assert read.messages == (HEAD + tail(after),)
