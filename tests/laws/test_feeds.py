"""Whatever happens to messages and to the log: every member has everything since it came or was told to start again, once and in
order, as soon as a check has run. No silent gap, on either node, for those who were there and for those who came back."""

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import Literal, get_args

from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime.connection import Connection
from realtime.feeds import CHECK_EVERY_S
from realtime.position import Position, position_in
from realtime.room_log import LogAway
from tests.realtime import build
from tests.realtime.test_feeds import CHANNEL, Installation, running

Step = Literal["say", "lose", "carry", "shuffle", "forget", "fall back", "away", "here", "wait", "go", "return"]
STEPS: list[Step] = ["say", "say", "say", *get_args(Step)[1:]]
KEEP_EVENTS = 6


@dataclass
class Reader:
    """A member and what it believes: the position it has reached, and every position it was sent since its last new start."""

    node: int
    connection: Connection
    at: Position | None = None
    seen: list[Position] = field(default_factory=list)
    away: bool = False

    def begin(self, at: Position | None) -> None:
        self.at = at
        self.seen.clear()

    def take(self, position: Position) -> None:
        assert self.at is not None, "nothing is delivered to a member that does not know where it stands"
        assert position.follows(self.at), f"{position} was delivered after {self.at}"
        self.at = position
        self.seen.append(position)

    def read(self) -> None:
        while (frame := self.connection.mailbox.take()) is not None:
            self.take(position_in(frame.ws))


class World(Installation):
    """Two nodes whose messages are lost, repeated and shuffled by chance, and members that go and come back."""

    def __init__(self, seed: int) -> None:
        super().__init__(keep_events=KEEP_EVENTS)
        self.chance = random.Random(seed)
        self.carried: list[tuple[str, bytes]] = []
        self.holding = False
        self.log.carry = self._carry_by_chance
        self.said = 0
        self.given: set[Position] = set()
        self.readers = [Reader(node, member) for node, member in enumerate(self.members)]
        for node, feeds in enumerate(self.feeds):
            feeds.on_reset = self._starter(node)

    def _starter(self, node: int):  # type: ignore[no-untyped-def]
        def start_again(_channel: str, position: Position) -> None:
            for reader in self.readers:
                if reader.node == node and not reader.away:
                    reader.read()
                    reader.begin(position)

        return start_again

    def _carry_by_chance(self, channel: str, data: bytes) -> None:
        self.carried.append((channel, data))
        if not self.holding:
            self.bus.send(channel, data)

    async def do(self, step: Step) -> None:
        match step:
            case "say":
                self.said += 1
                with contextlib.suppress(LogAway):
                    position = await self.say(f"{self.said}", node=self.chance.randrange(2))
                    assert position not in self.given, f"{position} was given to two events"
                    self.given.add(position)
            case "lose":
                self.log.losing = True
            case "carry":
                self.log.losing = self.holding = False
            case "shuffle":
                again = self.chance.sample(self.carried, min(len(self.carried), 5))
                for channel, data in again:
                    self.bus.send(channel, data)
            case "forget":
                self.log.forget()
            case "fall back":
                self.log.fall_back(self.chance.randrange(1, 4))
            case "away" | "here":
                self.log.away = step == "away"
            case "wait":
                await self.clock.advance(self.chance.choice((0.1, 0.6, 11)))
            case "go":
                self.go(self.chance.choice(self.readers))
            case "return":
                await self.come_back(self.chance.randrange(2))
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        for reader in self.readers:
            reader.read()

    def go(self, reader: Reader) -> None:
        """The member's line breaks."""
        reader.read()
        if not reader.away:
            reader.away = True
            self.nodes[reader.node].remove(reader.connection, "transport")

    async def come_back(self, which: int) -> None:
        """The member comes back to either node with its position."""
        reader = self.readers[which]
        self.go(reader)
        since, node = reader.at, self.chance.randrange(2)
        try:
            missed = None if since is None else await self.feeds[node].missed(CHANNEL, since)
        except LogAway:
            missed = None
        reader.node, reader.connection = node, build.connection(f"again {self.said} {self.chance.random()}", which + 1)
        self.nodes[node].add(reader.connection)
        self.nodes[node].join(reader.connection, CHANNEL)
        reader.away = False
        if missed is None:
            reader.begin(self.feeds[node].at(CHANNEL))
        else:
            for frame in missed:
                reader.take(position_in(frame.ws))


@given(st.lists(st.sampled_from(STEPS), max_size=60), st.integers(min_value=0, max_value=2**32))
@settings(max_examples=150)
@example(["say", "lose", "say", "return", "say", "carry", "say"], 1)
@example(["say", "wait", "go", "say", "wait", "lose", "say"], 3)
@example(["say", "forget", "say", "return", "wait", "say"], 2)
@example(["say", "say", "say", "fall back", "say", "say", "say", "return"], 4)
def test_there_is_no_silent_gap_and_nothing_twice(steps: list[Step], seed: int) -> None:
    asyncio.run(_told(steps, seed))


async def _told(steps: list[Step], seed: int) -> None:
    async with running(World(seed)) as world:
        assert isinstance(world, World)
        for step in steps:
            await world.do(step)
        for which in (0, 1):
            await world.come_back(which)
        await world.do("carry")
        await world.do("here")
        for _ in range(3):
            await world.clock.advance(CHECK_EVERY_S)
            await world.settled()
        top = (await world.log.tops((CHANNEL,)))[CHANNEL]
        for reader in world.readers:
            reader.read()
            assert reader.at == top, "in the end everybody stands at the end of the log"
