"""Teams on the board of a class: who is in which, on one node and on two, and what nobody can work out from their lines."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from persistence.database import Database
from realtime import peer
from realtime.connection import Connection
from realtime.parcel import header_of
from realtime.peer import Share
from realtime.wire import BoardSnapshot, RoomJoin, StreamOpen
from services.classes.live_class import LiveClass
from services.classes.showing import DisplayMode
from services.classes.showings import Choice
from services.classes.team import TeamRow
from services.kernel.caller import Caller
from services.kernel.ids import StreamId
from services.kernel.problems import BadShape
from tests.rooms.conftest import TestNode, World, events
from tests.rooms.test_rooms import steady
from tests.rooms.test_showing import OverheardBus

RED, BLUE = 0, 1


@dataclass
class Match:
    """Red against Blue over two nodes. Ann and Dan ride for Red, Bob and Eve for Blue, the first of each here, the others there."""

    world: World
    bus: OverheardBus
    here: TestNode
    there: TestNode
    live: LiveClass
    screen: Connection
    people: dict[str, Caller] = field(default_factory=dict)
    phones: dict[str, Connection] = field(default_factory=dict)
    streams: dict[str, StreamId] = field(default_factory=dict)
    second: int = 0

    def node(self, name: str) -> TestNode:
        return self.here if name in ("Ann", "Bob") else self.there

    async def comes(self, name: str, team: str | None = None) -> int | None:
        """Somebody joins; the team that they are in."""
        if name not in self.people:
            self.people[name] = await self.world.person(name)
        phone = self.phones[name] = self.node(name).connect(self.people[name])
        joined = await self.node(name).rooms.join(phone, RoomJoin(code=self.live.code, team=team))
        assert joined.you is not None
        return joined.you.team

    async def rides(self, seconds: int = 60, **heart_rates: int) -> None:
        for name in heart_rates:
            if name not in self.streams:
                self.streams[name] = (await self.node(name).open(self.phones[name], self.live.code)).stream
        for _ in range(seconds):
            for name, bpm in heart_rates.items():
                samples = steady(range(self.second, self.second + 1), bpm)
                self.node(name).send(self.phones[name], self.streams[name], self.second, samples)
            self.second += 1
            await self.world.advance(1)
        await self.beats()

    async def beats(self) -> None:
        for node in (self.here, self.there):
            node.rooms.publish_shares()
        await self.world.advance(0)
        for node in (self.here, self.there):
            node.rooms.broadcast_boards()
        await self.world.advance(0)

    def board(self) -> BoardSnapshot:
        return self.here.rooms.board(self.screen, self.live.id)

    async def is_shown(self, name: str, mode: DisplayMode) -> None:
        await self.node(name).showings.choose(self.people[name], self.live.id, Choice(mode))
        await self.world.advance(0)


@pytest.fixture
async def match(database: Database) -> AsyncIterator[Match]:
    bus = OverheardBus()
    world = World(database, bus=bus)
    here, there = world.node(), world.node()
    await world.advance(0)
    live = await here.classes.create(await world.person("Mia", coach=True), "Derby", None, "effort", (" Red", "Blue"))
    screen = here.connect(await world.person("Sam"))
    await here.join(screen, live.code, "spectator")
    yield Match(world, bus, here, there, live, screen)
    await world.close()


async def all_come(match: Match) -> None:
    for name, team in (("Ann", "Red"), ("Bob", "Blue"), ("Dan", "Red"), ("Eve", "Blue")):
        await match.comes(name, team)


async def test_who_names_a_team_is_in_it_whoever_names_none_is_in_the_smallest_and_nobody_changes(match: Match) -> None:
    assert [await match.comes(name, team) for name, team in (("Ann", None), ("Dan", None), ("Bob", "Red"))] == [0, 1, 0]
    assert await match.comes("Eve") == 1
    assert await match.comes("Ann", "Blue") == 0, "who is in one stays in it"
    with pytest.raises(BadShape) as refused:
        await match.comes("Zoe", "Green")
    assert refused.value.path == "$.team"
    await match.beats()
    board = match.board()
    assert {member.name: member.team for member in board.members} == {
        "Sam": None, "Ann": 0, "Dan": 1, "Bob": 0, "Eve": 1,
    }  # fmt: skip


async def test_a_device_that_is_its_athletes_first_way_in_names_the_team(match: Match) -> None:
    ann, node = await match.world.person("Ann"), match.here
    strap = node.connect(ann)

    def opening(team: str | None, code: str | None = match.live.code) -> StreamOpen:
        return StreamOpen(stream=StreamId(uuid.uuid4()), started_at_ms=0, class_code=code, team=team)

    for wrong in (opening("Green"), opening("Blue", code=None)):
        with pytest.raises(BadShape) as refused:
            await node.streams.open(strap, wrong)
        assert refused.value.path == "$.team"
    await node.streams.open(strap, opening("Blue"))
    match.people["Ann"] = ann
    assert await match.comes("Ann", "Red") == BLUE, "who is in one stays in it"


async def test_every_node_says_the_same_teams_and_again_only_when_one_has_moved(match: Match) -> None:
    await all_come(match)
    await match.rides(Ann=120, Dan=180, Bob=160, Eve=160)
    rows = match.board().teams
    assert [(row.team, row.rank, row.athletes) for row in rows] == [(BLUE, 1, 2), (RED, 2, 2)]
    there = match.there.rooms.board(match.phones["Dan"], match.live.id)
    assert there.teams == rows
    points = {row.n: row.effort for row in match.board().rows}
    members = {member.n: member.team for member in match.board().members}
    for row in rows:
        of_team = [points[n] for n, team in members.items() if team == row.team and n in points]
        assert row.figure == pytest.approx(sum(of_team) / 2, abs=0.051)
    list(events(match.screen))
    await match.beats()
    assert [payload for event, payload in events(match.screen) if event == "board.changes"] == []


@pytest.mark.parametrize("mode", ["coach", "hidden"])
async def test_a_team_has_nothing_of_those_whom_the_room_does_not_see(match: Match, mode: DisplayMode) -> None:
    await all_come(match)
    await match.is_shown("Dan", mode)
    await match.rides(Ann=120, Dan=180, Bob=160, Eve=160)
    assert match.board().teams[1] == TeamRow(RED, None, None, 1), "one is no team"
    without = match.board().teams
    match.bus.said.clear()
    await match.rides(30, Ann=120, Dan=190, Bob=160, Eve=160)
    dan = match.people["Dan"].account_id
    for channel, data in match.bus.said:
        header = header_of(data)
        message = None if header.event or not channel.startswith("room:") else peer.decode(header, data)
        if isinstance(message, Share):
            assert [entry for entry in message.entries if entry.account_id == dan and entry.team is not None] == []
    await match.comes("Fay", "Red")
    await match.rides(30, Ann=120, Dan=190, Bob=160, Eve=160, Fay=120)
    red = next(row for row in match.board().teams if row.team == RED)
    points = {row.n: row.effort for row in match.board().rows}
    seen = [points[member.n] for member in match.board().members if member.team == RED]
    assert (red.athletes, len(seen)) == (2, 2)
    assert red.figure == pytest.approx(sum(seen) / 2, abs=0.051)
    assert without[0].rank == 1


async def test_who_withdraws_is_gone_from_their_team_with_the_same_frame(match: Match) -> None:
    await all_come(match)
    await match.comes("Fay", "Red")
    await match.rides(Ann=120, Dan=180, Fay=150, Bob=160, Eve=160)
    list(events(match.screen))
    await match.is_shown("Dan", "hidden")
    (change,) = [payload for event, payload in events(match.screen) if event == "board.changes"]
    assert len(change["gone"]) == 1
    assert [(team, athletes) for team, _, _, athletes in change["teams"]] == [(BLUE, 2), (RED, 2)]


async def test_a_class_without_teams_says_nothing_of_any(database: Database) -> None:
    world = World(database)
    node = world.node()
    live = await node.create_class(await world.person("Mia", coach=True))
    phone = node.connect(await world.person("Ann"))
    joined = await node.join(phone, live.code)
    assert joined.you is not None
    assert (joined.room.teams, joined.you.team) == ((), None)
    with pytest.raises(BadShape):
        await node.rooms.join(node.connect(await world.person("Bob")), RoomJoin(code=live.code, team="Red"))
    node.rooms.beat()
    assert all("teams" not in payload for event, payload in events(phone) if event == "board.changes")
    await world.close()
