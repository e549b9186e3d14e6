"""Where somebody is connected, asked of all nodes."""

import asyncio
import uuid

import msgspec

from realtime.broker import MemoryBus
from realtime.connection import Connection
from realtime.mailbox import Mailbox
from realtime.node import Node
from realtime.peer import EVERY_NODE, ConnectionHere, ConnectionsHere
from realtime.whereabouts import ANSWER_S, Whereabouts
from services.accounts.connection import ConnectionSeen, Found
from services.kernel.clock import ManualClock
from services.kernel.ids import AppId
from tests.realtime import build
from tests.realtime.test_node import running, settled

ADA = build.caller(1).account_id


class Town:
    """Nodes on one bus, and who they say is where."""

    def __init__(self, *names: str, before: str = "") -> None:
        self.clock = ManualClock()
        bus = MemoryBus()
        self.nodes: dict[str, Node] = {name: build.node(name, bus, self.clock) for name in names}
        self.whereabouts = {name: Whereabouts(node, self.clock) for name, node in self.nodes.items() if name != before}

    def connect(self, node: str, account: int, login: int) -> Connection:
        caller, now = build.caller(account, login), self.clock.monotonic()
        made = Connection(f"{node}-{login}", caller, Mailbox(), build.Line(), opened_at=now)
        self.nodes[node].add(made)
        return made

    async def acquainted(self) -> None:
        """Every node has heard every other."""
        others = len(self.nodes) - 1
        async with asyncio.timeout(30):
            while any(len(node.peers()) < others for node in self.nodes.values()):
                await self.clock.advance(0.5)
                await settled()


async def test_any_node_tells_where_somebody_is_connected_on_all_of_them() -> None:
    town = Town("one", "two", "three")
    async with running(*town.nodes.values()):
        await town.acquainted()
        watch = town.connect("one", 1, 11)
        watch.rooms.add(build.ROOM)
        opened_ms = town.clock.wall_ms()
        await town.clock.advance(5)
        town.connect("two", 1, 12)
        town.connect("two", 2, 21)
        expected = Found(
            (
                ConnectionSeen("two", build.caller(1, 12).login_id, opened_ms + 5_000, (), None),
                ConnectionSeen("one", build.caller(1, 11).login_id, opened_ms, (build.ROOM,), None),
            ),
            (),
        )
        for each in town.whereabouts.values():
            assert await each.of(ADA) == expected
        assert await town.whereabouts["one"].of(build.caller(9).account_id) == Found((), ())


async def test_a_node_that_does_not_answer_is_named_and_the_others_are_shown_after_a_second() -> None:
    town = Town("one", "two", "old", before="old")
    async with running(*town.nodes.values()):
        await town.acquainted()
        town.connect("two", 1, 12)
        town.connect("old", 1, 13)
        asking = asyncio.create_task(town.whereabouts["one"].of(ADA))
        await settled()
        assert not asking.done()
        await town.clock.advance(ANSWER_S)
        found = await asking
    assert [seen.node for seen in found.connections] == ["two"]
    assert found.silent == ("old",)


async def test_answers_that_nobody_asked_for_come_twice_or_for_another_are_not_taken() -> None:
    town = Town("one", "old", before="old")
    asked = build.caller(1, 13).login_id
    here = ConnectionHere(asked, 5, (), AppId(uuid.UUID(int=3)))
    answer = ConnectionsHere("old", "one", 1, (here,))
    async with running(*town.nodes.values()):
        await town.acquainted()
        asking = asyncio.create_task(town.whereabouts["one"].of(ADA))
        await settled()
        for wrong in ({"to": "two"}, {"ask": 7}, {"node": "stranger"}):
            town.nodes["old"].publish(EVERY_NODE, msgspec.structs.replace(answer, **wrong))
        await settled()
        assert not asking.done()
        for _ in range(2):
            town.nodes["old"].publish(EVERY_NODE, answer)
        found = await asking
        town.nodes["old"].publish(EVERY_NODE, answer)
        await settled()
    assert found == Found((ConnectionSeen("old", asked, 5, (), here.app_id),), ())


async def test_a_node_alone_answers_at_once() -> None:
    town = Town("one")
    town.connect("one", 1, 11)
    found = await town.whereabouts["one"].of(ADA)
    assert [seen.node for seen in found.connections] == ["one"]
