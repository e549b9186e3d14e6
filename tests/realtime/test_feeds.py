"""What a node delivers of a room's log: all of it, once, in order, or the word that it cannot."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from realtime.broker import MemoryBus
from realtime.connection import Connection
from realtime.feeds import CHECK_EVERY_S, HELD_MESSAGES, SAID_TOGETHER, SAYING, Feeds
from realtime.node import Node
from realtime.parcel import encode_frame
from realtime.position import NOWHERE, TAIL_BYTES, Position
from realtime.room_log import Appended, Entry, LogAway, MemoryRoomLog, Since, Told, _Log
from realtime.wire import Cue
from services.kernel.clock import ManualClock
from tests.realtime import build

CHANNEL = f"room:{build.ROOM}"


class Log(MemoryRoomLog):
    """A log whose messages get lost on the way, and which can be away."""

    def __init__(self, bus: MemoryBus, clock: ManualClock, *, keep_events: int = 512) -> None:
        super().__init__(self._carry, clock, keep_events=keep_events)
        self.carry = bus.send
        self.losing = False
        self.away = False
        self.reads = 0
        self.steps: list[int] = []
        self.gate, self.door = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.door.set()

    def _carry(self, channel: str, data: bytes) -> None:
        if not self.losing:
            self.carry(channel, data)

    def append(self, channel: str, entries: Sequence[Entry], told: Told) -> None:
        if self.away:
            told(LogAway("away"))
            return
        self.steps.append(len(entries))
        self.under_way = asyncio.create_task(self._append_behind_the_door(channel, entries, told))

    async def _append_behind_the_door(self, channel: str, entries: Sequence[Entry], told: Told) -> None:
        await self.door.wait()
        super().append(channel, entries, told)

    async def since(self, channel: str, position: Position, *, events: int = 300, size: int = 256 * 1024) -> Since:
        if self.away:
            raise LogAway("away")
        self.reads += 1
        found = await super().since(channel, position, events=events, size=size)
        await self.gate.wait()
        return found

    async def tops(self, channels: Collection[str]) -> dict[str, Position | LogAway]:
        if self.away:
            return dict.fromkeys(channels, LogAway("away"))
        return await super().tops(channels)

    def copy(self, channel: str) -> _Log:
        """What a server has of a log on its disk."""
        log = self._logs[channel]
        return replace(log, messages=log.messages.copy())

    def restore(self, channel: str, log: _Log) -> None:
        """It starts again with that."""
        self._logs[channel] = replace(log, behind=True)


class Installation:
    """Two nodes with one member each in the room."""

    def __init__(self, *, keep_events: int = 512) -> None:
        self.bus, self.clock = MemoryBus(), ManualClock()
        self.log = Log(self.bus, self.clock, keep_events=keep_events)
        self.nodes = [build.node(name, self.bus, self.clock) for name in ("one", "two")]
        self.feeds = [Feeds(node, self.log, self.clock) for node in self.nodes]
        self.members = [build.connection(name, number) for number, name in enumerate("ab", start=1)]
        self.resets: list[tuple[str, Position]] = []
        for node, feeds, member in zip(self.nodes, self.feeds, self.members, strict=True):
            node.add(member)
            node.join(member, CHANNEL)
            feeds.follow(CHANNEL)
            feeds.on_reset = self._reset_of(node)

    def _reset_of(self, node: Node):  # type: ignore[no-untyped-def]
        return lambda channel, position: self.resets.append((node.id, position))

    async def say(self, text: str, *, key: str | None = None, node: int = 0) -> Position:
        cue = Cue(class_id=build.ROOM, text=text, coach_name="Mia", at_ms=0, position=NOWHERE)
        appended = await self.feeds[node].append(CHANNEL, "cue", cue, key or secrets.token_hex(4))
        return appended.position

    async def settled(self) -> None:
        for _ in range(5):
            await self.clock.advance(0)

    def heard(self, member: int) -> list[str]:
        return said(self.members[member])


def said(member: Connection) -> list[str]:
    """The texts of the cues that a member was sent since the last time."""
    return [text.split('"text":"')[1].split('"')[0] for text in build.texts(member.mailbox)]


@asynccontextmanager
async def running(installation: Installation) -> AsyncIterator[Installation]:
    loops = [
        asyncio.create_task(loop)
        for node, feeds in zip(installation.nodes, installation.feeds, strict=True)
        for loop in (node.run(), feeds.run())
    ]
    await installation.settled()
    installation.resets.clear()
    try:
        yield installation
    finally:
        installation.log.gate.set()
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


async def test_members_of_every_node_get_what_is_said_once_and_in_one_order() -> None:
    async with running(Installation()) as here:
        await asyncio.gather(*(here.say(f"cue {number}") for number in range(20)))
        await here.settled()
        first, second = here.heard(0), here.heard(1)
        assert sorted(first) == sorted(f"cue {number}" for number in range(20))
        assert first == second


async def test_the_same_key_is_heard_once() -> None:
    async with running(Installation()) as here:
        positions = {await here.say("up", key="k") for _ in range(5)}
        await here.settled()
        assert len(positions) == 1
        assert here.heard(0) == here.heard(1) == ["up"]
        assert here.feeds[0].statistics.appended == 1


async def test_a_loss_is_repaired_before_anything_newer_is_delivered() -> None:
    async with running(Installation()) as here:
        here.log.losing = True
        await here.say("lost 1")
        await here.say("lost 2")
        here.log.losing = False
        await here.say("heard")
        await here.settled()
        assert here.heard(0) == here.heard(1) == ["lost 1", "lost 2", "heard"]
        assert here.feeds[0].statistics.repaired == 3
        assert here.resets == []


async def test_a_loss_at_the_end_is_found_by_the_check_that_asks_every_ten_seconds() -> None:
    async with running(Installation()) as here:
        here.log.losing = True
        await here.say("lost")
        await here.settled()
        assert here.heard(1) == []
        await here.clock.advance(CHECK_EVERY_S)
        await here.settled()
        assert here.heard(0) == here.heard(1) == ["lost"]


async def test_a_gap_of_the_broker_is_looked_into_at_once() -> None:
    async with running(Installation()) as here:
        here.log.losing = True
        await here.say("lost")
        here.feeds[1].doubt((CHANNEL,))
        await here.settled()
        assert here.heard(1) == ["lost"]


async def test_a_message_that_comes_twice_or_late_is_delivered_once() -> None:
    async with running(Installation()) as here:
        carried: list[tuple[str, bytes]] = []
        here.log.carry = lambda channel, data: carried.append((channel, data))
        for number in range(4):
            await here.say(f"cue {number}")
        for channel, data in (*reversed(carried), *carried):
            here.bus.send(channel, data)
        await here.settled()
        assert here.heard(0) == here.heard(1) == [f"cue {number}" for number in range(4)]


async def test_a_log_that_begins_anew_is_told_as_a_reset_and_heard_from_its_begin() -> None:
    async with running(Installation()) as here:
        await here.say("before")
        await here.settled()
        here.log.forget()
        after = await here.say("after")
        await here.settled()
        assert here.resets == [("one", Position(after.epoch, 0)), ("two", Position(after.epoch, 0))]
        await here.say("and on")
        await here.settled()
        assert here.heard(0) == here.heard(1) == ["before", "after", "and on"]


@pytest.mark.parametrize("said_after", [1, 3, HELD_MESSAGES + 5])
async def test_what_is_said_first_after_a_failover_is_heard_once_behind_the_reset(said_after: int) -> None:
    async with running(Installation()) as here:
        await here.say("before")
        await here.settled()
        assert here.heard(0) == here.heard(1) == ["before"]
        told: list[str] = []
        here.feeds[0].on_reset = lambda _channel, position: told.extend([*here.heard(0), f"reset at {position.offset}"])
        here.log.fall_back(0)
        here.log.gate.clear()
        for number in range(said_after):
            await here.say(f"{number}")
        here.log.gate.set()
        await here.settled()
        await here.clock.advance(CHECK_EVERY_S)
        await here.settled()
        texts = [f"{number}" for number in range(said_after)]
        assert [*told, *here.heard(0)] == ["reset at 0", *texts]
        assert here.heard(1) == texts


async def test_a_log_that_begins_anew_while_its_begin_is_read_is_heard_from_the_begin_of_the_last() -> None:
    async with running(Installation()) as here:
        await here.say("before")
        await here.settled()
        here.log.fall_back(0)
        here.log.gate.clear()
        await here.say("of an epoch between")
        await here.settled()
        here.log.fall_back(0)
        after = await here.say("after")
        here.log.gate.set()
        await here.settled()
        assert here.resets == [("one", Position(after.epoch, 0)), ("two", Position(after.epoch, 0))]
        assert here.heard(0) == here.heard(1) == ["before", "after"]


async def test_a_begin_that_is_trimmed_already_is_told_as_a_reset_to_the_end() -> None:
    async with running(Installation(keep_events=3)) as here:
        await here.say("before")
        await here.settled()
        here.log.fall_back(0)
        here.log.losing = True
        for number in range(5):
            last = await here.say(f"lost {number}")
        await here.clock.advance(CHECK_EVERY_S)
        await here.settled()
        assert here.resets == [("one", last), ("two", last)]
        assert here.heard(0) == here.heard(1) == ["before"]


async def test_a_log_that_goes_back_to_an_epoch_that_was_left_tells_nothing_of_it_again() -> None:
    async with running(Installation()) as here:
        await here.say("once")
        await here.settled()
        on_the_disk = here.log.copy(CHANNEL)
        here.log.fall_back(0)
        await here.say("lost")
        await here.settled()
        here.log.restore(CHANNEL, on_the_disk)
        await here.clock.advance(CHECK_EVERY_S)
        await here.settled()
        await here.say("and on")
        await here.settled()
        assert here.heard(0) == here.heard(1) == ["once", "lost", "and on"]


async def test_a_log_that_is_gone_is_noticed_though_nobody_says_anything() -> None:
    async with running(Installation()) as here:
        await here.say("before")
        await here.settled()
        here.log.forget()
        await here.clock.advance(CHECK_EVERY_S)
        await here.settled()
        assert {node for node, _ in here.resets} == {"one", "two"}


@pytest.mark.parametrize("said_after", [1, 2, 3])
async def test_a_log_that_lost_its_end_is_told_as_a_reset_however_much_is_said_before_anybody_asks(
    said_after: int,
) -> None:
    async with running(Installation()) as here:
        for text in ("kept", "lost", "lost too"):
            last = await here.say(text)
        await here.settled()
        here.log.fall_back(2)
        for number in range(said_after):
            after = await here.say(f"{number}", node=1)
        assert after.offset == said_after
        await here.settled()
        assert await here.feeds[0].missed(CHANNEL, last) is None
        assert {node for node, _ in here.resets} == {"one", "two"}
        assert [feeds.at(CHANNEL) for feeds in here.feeds] == [after, after]
        assert here.heard(0)[-said_after:] == here.heard(1)[-said_after:] == [f"{n}" for n in range(said_after)]
        await here.say("and on")
        await here.settled()
        assert here.heard(0)[-1] == here.heard(1)[-1] == "and on"


async def test_what_was_trimmed_before_it_was_repaired_is_told_as_a_reset() -> None:
    async with running(Installation(keep_events=3)) as here:
        here.log.losing = True
        for number in range(5):
            await here.say(f"lost {number}")
        here.log.losing = False
        last = await here.say("heard")
        await here.settled()
        assert here.resets == [("one", last), ("two", last)]
        await here.say("and on")
        await here.settled()
        assert here.heard(1) == ["and on"]


async def test_while_the_log_is_away_what_follows_is_delivered_and_what_does_not_waits() -> None:
    async with running(Installation()) as here:
        here.log.losing = True
        await here.say("lost")
        here.log.losing = False
        await here.say("waits")
        here.log.away = True
        await here.settled()
        assert here.heard(1) == []
        here.log.away = False
        await here.clock.advance(1)
        await here.settled()
        assert here.heard(0) == here.heard(1) == ["lost", "waits"]


async def test_a_log_that_lacks_what_a_node_holds_has_lost_its_end() -> None:
    async with running(Installation()) as here:
        await here.say("seen")
        await here.settled()
        here.log.losing = True
        await here.say("lost")
        here.log.losing = False
        await here.say("waits")
        here.log.away = True
        await here.settled()
        here.log.fall_back(2)
        here.log.away, here.log.reads = False, 0
        await here.clock.advance(1)
        await here.settled()
        await here.clock.advance(CHECK_EVERY_S)
        await here.settled()
        assert {node for node, _ in here.resets} == {"one", "two"}
        assert here.log.reads < 20, "and it is not asked again and again"
        await here.say("and on")
        await here.settled()
        assert here.heard(0) == here.heard(1) == ["seen", "and on"]


async def test_more_than_may_wait_is_read_again_from_the_log() -> None:
    async with running(Installation()) as here:
        here.log.losing = True
        await here.say("lost")
        here.log.losing = False
        here.log.gate.clear()
        for number in range(HELD_MESSAGES + 5):
            await here.say(f"{number}")
            await here.clock.advance(0)
        here.log.gate.set()
        await here.settled()
        await here.clock.advance(1)
        await here.settled()
        assert here.heard(0) == here.heard(1) == ["lost", *(f"{number}" for number in range(HELD_MESSAGES + 5))]


async def test_an_old_message_of_an_epoch_that_is_gone_does_not_keep_the_node_busy() -> None:
    async with running(Installation()) as here:
        carried: list[tuple[str, bytes]] = []
        here.log.carry = lambda channel, data: carried.append((channel, data))
        await here.say("of an old epoch")
        here.log.carry = here.bus.send
        here.log.forget()
        await here.say("new")
        await here.settled()
        here.resets.clear()
        before = here.log.reads
        here.bus.send(*carried[0])
        await here.settled()
        await here.clock.advance(5)
        assert here.log.reads - before <= 4
        assert here.resets == []
        await here.say("and on")
        await here.settled()
        assert here.heard(1)[-1] == "and on"


async def test_what_is_no_event_reaches_nobody() -> None:
    async with running(Installation()) as here:
        for frame in (build.changes(1), build.must()):
            here.bus.send(CHANNEL, encode_frame("elsewhere", frame, open_end=TAIL_BYTES))
        good = encode_frame("elsewhere", build.ended(), open_end=TAIL_BYTES)
        for damaged in (b"", good[:-3], good[:-TAIL_BYTES] + b"x" * TAIL_BYTES, b"\x00" + good[1:]):
            here.bus.send(CHANNEL, damaged)
        await here.settled()
        await here.say("fine")
        await here.settled()
        assert here.heard(0) == here.heard(1) == ["fine"]


# -- whoever joins ----------------------------------------------------------------------------------------------------


async def test_a_newcomer_gets_everything_since_and_then_what_follows_though_events_flow_meanwhile() -> None:
    async with running(Installation()) as here:
        since = await here.say("seen")
        for number in range(3):
            await here.say(f"missed {number}")
        await here.settled()
        newcomer = build.connection("new", 9)
        here.nodes[0].add(newcomer)
        here.log.gate.clear()
        joining = asyncio.create_task(here.feeds[0].missed(CHANNEL, since))
        await here.settled()
        # Said after the log was read and before the newcomer is in.
        await here.say("between 1")
        await here.say("between 2")
        await here.settled()
        here.log.gate.set()

        missed = await joining
        here.nodes[0].join(newcomer, CHANNEL)

        await here.say("after")
        await here.settled()
        assert missed is not None
        texts = [frame.text.split('"text":"')[1].split('"')[0] for frame in missed]
        assert texts + said(newcomer) == ["missed 0", "missed 1", "missed 2", "between 1", "between 2", "after"]


async def test_what_the_log_has_and_the_node_has_not_delivered_is_left_for_everybody_together() -> None:
    async with running(Installation()) as here:
        since = await here.say("seen")
        await here.settled()
        here.log.losing = True
        await here.say("not here yet")
        missed = await here.feeds[0].missed(CHANNEL, since)
        newcomer = build.connection("new", 9)
        here.nodes[0].add(newcomer)
        here.nodes[0].join(newcomer, CHANNEL)
        await here.clock.advance(CHECK_EVERY_S)
        await here.settled()
        assert missed == ()
        assert said(newcomer) == ["not here yet"]


async def test_of_what_is_read_only_what_the_others_have_is_given_and_the_rest_comes_with_theirs() -> None:
    async with running(Installation()) as here:
        since = await here.say("seen")
        await here.say("missed")
        await here.settled()
        here.log.losing = True
        await here.say("not here yet")
        missed = await here.feeds[0].missed(CHANNEL, since)
        newcomer = build.connection("new", 9)
        here.nodes[0].add(newcomer)
        here.nodes[0].join(newcomer, CHANNEL)
        await here.clock.advance(CHECK_EVERY_S)
        await here.settled()
        assert [frame.text.split('"text":"')[1].split('"')[0] for frame in missed or ()] == ["missed"]
        assert said(newcomer) == ["not here yet"]


async def test_whoever_was_on_a_node_ahead_of_this_one_gets_nothing_twice() -> None:
    async with running(Installation()) as here:
        here.log.losing = True
        since = await here.say("seen elsewhere")
        missed = await here.feeds[0].missed(CHANNEL, since)
        newcomer = build.connection("new", 9)
        here.nodes[0].add(newcomer)
        here.nodes[0].join(newcomer, CHANNEL)
        await here.clock.advance(CHECK_EVERY_S)
        await here.settled()
        assert missed == ()
        assert said(newcomer) == []


@pytest.mark.parametrize("moved", [1, 400])
async def test_a_position_that_never_was_proves_nothing_and_disturbs_nobody(moved: int) -> None:
    async with running(Installation()) as here:
        last = await here.say("seen")
        await here.settled()
        assert await here.feeds[0].missed(CHANNEL, last.moved(moved)) is None
        assert await here.feeds[0].missed(CHANNEL, Position("00000000", 1)) is None
        assert here.feeds[0].at(CHANNEL) == last
        assert here.resets == []


async def test_more_than_a_client_may_catch_up_with_proves_nothing() -> None:
    async with running(Installation()) as here:
        since = await here.say("seen")
        for number in range(301):
            await here.say(str(number))
        await here.settled()
        assert await here.feeds[0].missed(CHANNEL, since) is None
        assert len(await here.feeds[0].missed(CHANNEL, since.moved(1)) or ()) == 300


# -- saying -----------------------------------------------------------------------------------------------------


def begin(here: Installation, text: str, key: str | None = None) -> "asyncio.Future[Appended]":
    cue = Cue(class_id=build.ROOM, text=text, coach_name="Mia", at_ms=0, position=NOWHERE)
    return here.feeds[0].begin(CHANNEL, "cue", cue, key or text)


async def test_what_is_said_while_the_log_is_busy_goes_into_it_in_one_step_and_in_order() -> None:
    async with running(Installation()) as here:
        here.log.door.clear()
        first = begin(here, "0")
        await here.settled()
        others = [begin(here, str(number)) for number in range(1, 6)]
        here.log.door.set()
        told = await asyncio.gather(first, *others)
        assert [one.position.offset for one in told] == [1, 2, 3, 4, 5, 6]
        assert here.log.steps == [1, 5]
        await here.settled()
        assert here.heard(0) == here.heard(1) == ["0", "1", "2", "3", "4", "5"]


async def test_a_key_said_twice_in_one_step_is_said_once() -> None:
    async with running(Installation()) as here:
        told = await asyncio.gather(begin(here, "up", "k"), begin(here, "up", "k"))
        assert [one.repeated for one in told] == [False, True]
        assert here.log.steps == [2]
        await here.settled()
        assert here.heard(0) == ["up"]


async def test_more_than_may_wait_for_a_log_is_refused_at_once() -> None:
    async with running(Installation()) as here:
        here.log.door.clear()
        begun = [begin(here, str(number)) for number in range(SAYING + 1)]
        with pytest.raises(LogAway):
            await begun[-1]
        here.log.door.set()
        await asyncio.gather(*begun[:-1])
        assert max(here.log.steps) == SAID_TOGETHER
        assert here.feeds[0].statistics.refused == 1


async def test_a_log_that_is_away_fails_those_of_its_step_and_the_next_are_tried() -> None:
    async with running(Installation()) as here:
        here.log.away = True
        with pytest.raises(LogAway):
            await begin(here, "lost")
        here.log.away = False
        assert (await begin(here, "there")).position.offset == 1


async def test_a_log_with_a_fault_of_ours_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Installation()) as here:

        def broken(*_: object) -> None:
            raise ZeroDivisionError("a fault")

        with monkeypatch.context() as fault:
            fault.setattr(here.log, "append", broken)
            begun = [begin(here, "one"), begin(here, "two")]
            async with asyncio.timeout(5):
                assert [type(each) for each in await asyncio.gather(*begun, return_exceptions=True)] == [
                    ZeroDivisionError
                ] * 2
        assert (await begin(here, "there")).position.offset == 1


async def test_a_log_that_tells_of_fewer_than_it_was_given_leaves_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(Installation()) as here:

        def short(_channel: str, entries: Sequence[Entry], told: Told) -> None:
            told([Appended(Position("0f3a9c41", 1))] * (len(entries) - 1))

        with monkeypatch.context() as fault:
            fault.setattr(here.log, "append", short)
            begun = [begin(here, "one"), begin(here, "two")]
            async with asyncio.timeout(5):
                came = await asyncio.gather(*begun, return_exceptions=True)
        assert [type(each) for each in came] == [ValueError] * 2
        assert (await begin(here, "there")).position.offset == 1


async def test_who_no_longer_waits_is_said_all_the_same() -> None:
    async with running(Installation()) as here:
        here.log.door.clear()
        impatient, patient = begin(here, "one"), begin(here, "two")
        impatient.cancel()
        here.log.door.set()
        assert (await patient).position.offset == 2
        await here.settled()
        assert here.heard(1) == ["one", "two"]
