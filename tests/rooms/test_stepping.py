"""Athletes in the steps of their class, over two nodes."""

from typing import Any

from realtime.connection import Connection
from services.classes.class_clock import Pause, Resume, Start
from services.classes.live_class import LiveClass
from services.classes.script import Block, Interval, Script
from services.classes.showings import Choice
from services.classes.steps import Above, Below, Step
from services.classes.timelines import ScriptDraft
from services.kernel.caller import Caller
from services.kernel.ids import StreamId
from services.training.sample import Sample
from tests.rooms.conftest import TestNode, World, events

UP = Step(Above(150), for_ms=5_000, within_ms=60_000)
DOWN = Step(Below(130), for_ms=5_000, within_ms=20_000)
LAPS = Script((Block((Interval(300_000, steps=(UP, DOWN)),)),))


class Rider:
    """An athlete with a strap: one reading a second, sent as it is made."""

    def __init__(self, world: World, node: TestNode, caller: Caller, live: LiveClass) -> None:
        self.world, self.node, self.caller, self.live = world, node, caller, live
        self.connection = node.connect(caller)
        self.began_ms = world.clock.wall_ms()
        self.stream: StreamId | None = None
        self.seq = 0

    async def come(self) -> None:
        await self.node.join(self.connection, self.live.code)
        opened = await self.node.open(self.connection, self.live.code, self.stream)
        self.stream, self.seq = opened.stream, opened.next_seq

    async def move(self, node: TestNode) -> None:
        """Come back on another node."""
        self.node.cut(self.connection)
        self.node, self.connection = node, node.connect(self.caller)
        await self.come()

    async def ride(self, *rates: int) -> None:
        for bpm in rates:
            assert self.stream is not None
            sample = Sample(self.world.clock.wall_ms() - self.began_ms, bpm)
            self.node.send(self.connection, self.stream, self.seq, (sample,))
            self.seq += 1
            await beat(self.world)


async def beat(world: World, seconds: float = 1.0) -> None:
    """A second passes, with a beat on every node."""
    await world.advance(seconds)
    for made in world.nodes:
        made.rooms.publish_shares()
    await world.advance(0)
    for made in world.nodes:
        made.rooms.broadcast_boards()


async def ready(world: World, here: TestNode, there: TestNode) -> tuple[Caller, LiveClass, Connection, Rider]:
    """A coach whose desk is on one node, and Ada on the other, in a class that has begun."""
    mia = await world.person("Mia", coach=True)
    live = await there.create_class(mia)
    await there.timelines.save_script(mia, live.id, ScriptDraft(LAPS))
    desk = there.connect(mia)
    await there.join(desk, live.code, "coach")
    ada = Rider(world, here, await world.person("Ada"), live)
    await ada.come()
    await world.advance(0)
    await there.timelines.control(mia, live.id, Start(), None)
    await world.advance(0)
    return mia, live, desk, ada


def told(connection: Connection) -> list[list[Any]]:
    """The rows of the last progress a connection was told, without the member's number; and nothing is left unread."""
    rows = [payload["rows"] for name, payload in events(connection) if name == "steps.progress"]
    return [row[1:] for row in rows[-1]] if rows else []


async def test_the_heart_ends_a_step_and_both_athlete_and_coach_are_told(world: World) -> None:
    here, there = world.node(), world.node()
    _, live, desk, ada = await ready(world, here, there)
    other = there.connect(await world.person("Bob"))
    await there.join(other, live.code)
    await ada.ride(*[160] * 4)
    # interval, item, round, step, held_ms, inside, over
    assert told(ada.connection) == told(desk) == [[0, 0, 0, 0, 3_000, True, False]]
    await ada.ride(160, 160)
    assert told(ada.connection) == told(desk) == [[0, 1, 0, 0, 0, False, False]]
    await ada.ride(*[110] * 6)
    assert told(ada.connection) == told(desk) == [[0, 2, 0, 0, 0, False, True]]
    assert told(other) == []


async def test_who_comes_back_on_another_node_goes_on_where_they_were(world: World) -> None:
    here, there = world.node(), world.node()
    _, _, desk, ada = await ready(world, here, there)
    await ada.ride(*[160] * 6, 110, 110, 110)
    assert told(desk) == [[0, 1, 0, 0, 2_000, True, False]]
    await ada.move(there)
    await ada.ride(110, 110, 110)
    assert told(ada.connection) == told(desk) == [[0, 2, 0, 0, 0, False, True]]


async def test_a_step_is_given_up_at_its_time_though_the_sensor_is_silent_but_not_in_a_pause(world: World) -> None:
    here, there = world.node(), world.node()
    mia, live, desk, ada = await ready(world, here, there)
    await ada.ride(*[160] * 6)
    here.cut(ada.connection)
    await there.timelines.control(mia, live.id, Pause(), None)
    await beat(world)
    assert told(desk) == [[0, 1, 0, 0, 0, False, False]]
    await beat(world, 60)
    assert told(desk) == []
    await there.timelines.control(mia, live.id, Resume(), None)
    await beat(world, 20)
    assert told(desk) == []
    await beat(world, 2)
    assert told(desk) == [[0, 2, 0, 0, 0, False, True]]


async def test_a_coach_who_comes_late_is_told_where_everybody_is(world: World) -> None:
    here, there = world.node(), world.node()
    mia, live, _, ada = await ready(world, here, there)
    await ada.ride(*[160] * 4)
    tablet = here.connect(mia)
    await here.join(tablet, live.code, "coach")
    await beat(world)
    assert told(tablet) == [[0, 0, 0, 0, 3_000, True, False]]


async def test_the_coach_follows_who_is_for_the_coach_only_and_not_who_is_hidden(world: World) -> None:
    here, there = world.node(), world.node()
    _, live, desk, ada = await ready(world, here, there)
    await here.showings.choose(ada.caller, live.id, Choice("coach"))
    await ada.ride(*[160] * 8)
    assert told(desk), "the other node is told on the coaches' channel"
    await here.showings.choose(ada.caller, live.id, Choice("hidden"))
    await beat(world)
    told(desk)
    await ada.ride(*[120] * 8)
    assert told(desk) == []
    assert told(ada.connection), "they know it themselves"
