"""A coach drives the trainers of a class: the bytes reach the athletes meant, on every node, and nobody else may."""

import base64

import pytest

from realtime.wire import TrainerAsked, TrainerSet
from rooms.driving import Driving
from services.kernel.problems import BadShape, ClassOver, Forbidden, NotInRoom
from services.training.ftms_control import Simulation, Start, TargetPower, TargetResistance
from tests.rooms.conftest import TestNode, World, events


def driving(node: TestNode) -> Driving:
    return Driving(node.rooms, node.world.clock)


async def test_a_target_reaches_every_athlete_that_is_there_on_whatever_node(world: World) -> None:
    here, there = world.node(), world.node()
    coach, ada, bob = await world.person("Mia", coach=True), await world.person("Ada"), await world.person("Bob")
    live = await here.create_class(coach)
    desk, on_here, on_there = here.connect(coach), here.connect(ada), there.connect(bob)
    await here.join(desk, live.code, "coach")
    await here.join(on_here, live.code)
    await there.join(on_there, live.code)
    there.rooms.beat()
    await world.advance(0.1)
    here.rooms.beat()
    asked = driving(here).set(desk, TrainerSet(class_id=live.id, target=TargetPower(watts=250)))
    await world.advance(0.1)
    assert asked == TrainerAsked(athletes=2)
    for athlete in (on_here, on_there):
        (told,) = [payload for name, payload in events(athlete) if name == "trainer.target"]
        assert base64.b64decode(told["data"]) == bytes.fromhex("05 fa 00")
        assert (told["characteristic"], told["target"]) == ("2ad9", {"type": "power", "watts": 250})
    assert "trainer.target" not in [name for name, _ in events(desk)]


async def test_a_target_for_one_athlete_is_nobody_elses(world: World) -> None:
    node = world.node()
    coach, ada, bob = await world.person("Mia", coach=True), await world.person("Ada"), await world.person("Bob")
    live = await node.create_class(coach)
    desk, one, other = node.connect(coach), node.connect(ada), node.connect(bob)
    await node.join(desk, live.code, "coach")
    await node.join(one, live.code)
    joined = await node.join(other, live.code)
    node.rooms.beat()
    assert joined.you is not None
    driving(node).set(desk, TrainerSet(class_id=live.id, target=Start(), n=joined.you.n))
    assert [name for name, _ in events(one) if name == "trainer.target"] == []
    assert [name for name, _ in events(other) if name == "trainer.target"] == ["trainer.target"]
    with pytest.raises(BadShape, match="no athlete of this number"):
        driving(node).set(desk, TrainerSet(class_id=live.id, target=Start(), n=99))


@pytest.mark.parametrize("target", [TargetPower(watts=40_000), TargetResistance(level=1e300), Simulation(rolling=-1.0)])
async def test_a_target_that_no_bytes_can_say_is_refused(
    world: World, target: TargetPower | TargetResistance | Simulation
) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    desk = node.connect(coach)
    await node.join(desk, live.code, "coach")
    with pytest.raises(BadShape) as refused:
        driving(node).set(desk, TrainerSet(class_id=live.id, target=target))
    assert refused.value.path == "$.target"


async def test_only_the_coach_of_a_class_that_is_on_drives(world: World) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    desk, athlete, outside = node.connect(coach), node.connect(await world.person("Ada")), node.connect(coach)
    await node.join(desk, live.code, "coach")
    await node.join(athlete, live.code)
    start = TrainerSet(class_id=live.id, target=Start())
    with pytest.raises(Forbidden):
        driving(node).set(athlete, start)
    with pytest.raises(NotInRoom):
        driving(node).set(outside, start)
    await node.classes.end(coach, live.id)
    with pytest.raises(ClassOver):
        driving(node).set(desk, start)
