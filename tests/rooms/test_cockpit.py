"""The coach's cockpit, with the coach on another node than the athletes."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from realtime.connection import Connection
from realtime.peer import Share
from realtime.wire import ClockSync
from services.classes.class_clock import Start
from services.classes.clock_sync import Report
from services.classes.live_class import LiveClass
from services.classes.script import Block, Interval, Script, ZoneTarget
from services.classes.timelines import ScriptDraft
from services.kernel.caller import Caller
from services.safety.ports import Chosen
from tests.rooms.conftest import TestNode, World, events
from tests.rooms.test_stepping import Rider, beat

EASY = Script((Block((Interval(600_000, targets=(ZoneTarget(1, 2),)),)),))


@dataclass
class Desk:
    """What a coach's client knows, from nothing but what it was told."""

    connection: Connection
    names: dict[int, str] = field(default_factory=dict)
    rows: dict[int, list[Any]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def read(self) -> None:
        for name, payload in events(self.connection):
            if not name.startswith("cockpit."):
                continue
            self.told.append(name)
            if name == "cockpit.snapshot":
                self.names, self.rows = {}, {}
            self.names |= {member["n"]: member["name"] for member in payload.get("members", ())}
            self.rows |= {row[0]: row[1:] for row in payload.get("rows", ())}

    def reasons(self) -> dict[str, list[str]]:
        self.read()
        return {self.names[n]: row[0] for n, row in self.rows.items()}

    def off(self) -> dict[str, int | None]:
        self.read()
        return {self.names[n]: row[8] for n, row in self.rows.items()}

    def bpm(self) -> dict[str, int | None]:
        self.read()
        return {self.names[n]: row[3] for n, row in self.rows.items()}


async def ready(world: World, here: TestNode, there: TestNode) -> tuple[Caller, LiveClass, Desk, Rider]:
    """A coach whose desk is on one node, and Ada, who has been in a class before, on the other."""
    mia, ada = await world.person("Mia", coach=True), await world.person("Ada")
    earlier = await here.create_class(mia)
    before = here.connect(ada)
    await here.join(before, earlier.code)
    here.cut(before)
    await world.advance(1)
    live = await there.create_class(mia)
    desk = Desk(there.connect(mia))
    await there.join(desk.connection, live.code, "coach")
    rider = Rider(world, here, ada, live)
    await rider.come()
    await world.advance(0)
    return mia, live, desk, rider


async def test_the_coach_sees_athletes_of_another_node_and_who_needs_them(world: World) -> None:
    here, there = world.node(), world.node()
    _, live, desk, ada = await ready(world, here, there)
    await there.join(there.connect(await world.person("Bob")), live.code)
    await ada.ride(150, 151)
    assert desk.reasons() == {"Ada": [], "Bob": ["first_class"]}
    assert desk.bpm() == {"Ada": 151, "Bob": None}
    await beat(world, 12)
    assert desk.reasons() == {"Ada": ["lost_sensor"], "Bob": ["first_class"]}
    await beat(world, 12)
    assert desk.reasons() == {"Ada": ["lost_sensor"], "Bob": ["no_data", "first_class"]}


async def test_who_drifts_from_the_target_of_the_interval_is_seen_by_the_coach(world: World) -> None:
    here, there = world.node(), world.node()
    mia, live, desk, ada = await ready(world, here, there)
    await there.timelines.save_script(mia, live.id, ScriptDraft(EASY))
    await there.timelines.control(mia, live.id, Start(), None)
    await world.advance(0)
    await ada.ride(*[160] * 40)
    assert desk.reasons() == {"Ada": []}
    await ada.ride(*[160] * 6)
    assert desk.reasons() == {"Ada": ["above_target"]}
    await ada.ride(*[120] * 11)
    assert desk.reasons() == {"Ada": []}


async def test_a_limit_of_ones_own_counts_in_place_of_the_maximum_and_its_figure_stays_where_the_stream_is(
    world: World,
) -> None:
    here, there = world.node(), world.node()
    _, live, desk, ada = await ready(world, here, there)
    await here.safety.choose(ada.caller, Chosen(on=True, limit_bpm=149))
    bob = Rider(world, here, await world.person("Bob"), live)
    await here.safety.choose(bob.caller, Chosen(on=False, limit_bpm=149))
    shares: list[Share] = []
    there.node.listen(Share, lambda _, share: shares.append(share))
    for rider in (ada, bob):
        await rider.move(here)
    for _ in range(8):
        for rider in (ada, bob):
            await rider.ride(150)
    reasons = desk.reasons()
    assert reasons["Ada"] == ["over_limit"]
    assert "over_limit" not in reasons["Bob"], "who has turned it off has told nobody of a limit"
    entries = [msgspec.structs.asdict(entry) for share in shares for entry in share.entries]
    assert any(entry["above_own"] for entry in entries)
    assert not any(149 in entry.values() for entry in entries)
    for _ in range(13):
        for rider in (ada, bob):
            await rider.ride(147)
    assert desk.reasons()["Ada"] == ["over_limit"]
    for _ in range(12):
        await ada.ride(146)
    assert desk.reasons()["Ada"] == []


async def test_only_rows_that_changed_are_told_and_nobody_else_is_told_anything(world: World) -> None:
    here, there = world.node(), world.node()
    _, live, desk, ada = await ready(world, here, there)
    others = [there.connect(await world.person(name)) for name in ("Bob", "Cem")]
    for other in others:
        await there.join(other, live.code)
    watcher = here.connect(await world.person("Eve"))
    await here.join(watcher, live.code, "spectator")
    await ada.ride(150)
    desk.read()
    assert desk.told == ["cockpit.snapshot"]
    await ada.ride(151)
    (changes,) = [payload for name, payload in events(desk.connection) if name == "cockpit.changes"]
    assert [row[4] for row in changes["rows"]] == [151]
    await beat(world, 0.5)
    assert [name for name, _ in events(desk.connection) if name.startswith("cockpit.")] == []
    for other in (ada.connection, watcher, *others):
        assert not [name for name, _ in events(other) if name.startswith("cockpit.")]


async def test_a_slow_coach_and_one_who_comes_late_know_what_a_quick_one_knows(world: World) -> None:
    here, there = world.node(), world.node()
    mia, live, quick, ada = await ready(world, here, there)
    slow, late = Desk(here.connect(mia)), Desk(there.connect(mia))
    await here.join(slow.connection, live.code, "coach")
    for bpm in (150, 151, 152):
        await ada.ride(bpm)
        quick.read()
    await there.join(late.connection, live.code, "coach")
    await ada.ride(153)
    for desk in (quick, slow, late):
        assert desk.bpm() == {"Ada": 153}
    assert quick.rows == slow.rows == late.rows
    assert slow.told == ["cockpit.snapshot"]


async def test_the_coach_sees_how_far_off_the_clocks_of_athletes_may_be(world: World) -> None:
    here, there = world.node(), world.node()
    _, live, desk, ada = await ready(world, here, there)
    bob = here.connect(await world.person("Bob"))

    def reports(connection: Connection, delay_ms: float, moved_ms: float) -> None:
        here.clocks.sync(connection, ClockSync(sent_ms=1, report=Report(delay_ms=delay_ms, moved_ms=moved_ms)), 0)

    reports(bob, 9, 0)  # before he joins: he asks for the time as soon as he is connected
    await here.join(bob, live.code)
    await beat(world, 1)
    assert desk.off() == {"Ada": None, "Bob": 5}
    reports(ada.connection, 31, -140.2)
    await beat(world, 1)
    assert desk.off() == {"Ada": 156, "Bob": 5}
    reports(ada.connection, 10, 0)
    here.cut(bob)
    await beat(world, 1)
    assert desk.off() == {"Ada": 5, "Bob": None}, "who is not there has no clock that could disagree"
