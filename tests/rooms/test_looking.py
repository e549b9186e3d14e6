"""Who leads a class and sees the hearts in it is told to the audit, once."""

import asyncio

import pytest

from persistence.stores import Transactions
from realtime.wire import ChatMute
from rooms.looking import Looking
from services.classes.showings import Choice
from services.kernel.ids import Uuid7Ids
from tests.rooms.conftest import World
from tests.rooms.test_cockpit import ready
from tests.support.audited import entries


def stores_of(world: World) -> Transactions:
    return Transactions(world.database, world.clock, Uuid7Ids(world.clock))


async def told(world: World) -> list[tuple[str, object, object]]:
    return [
        (line.act, line.actor, line.account)
        for line in await entries(stores_of(world))
        if line.act == "heart_rate.watched"
    ]


async def test_a_coach_who_sees_a_heart_rate_is_told_of_once_however_many_frames_come(world: World) -> None:
    """ASVS 16.3.2; what the issue calls once per coach, athlete and class."""
    here, there = world.node(), world.node()
    looking = Looking(there.rooms, stores_of(world), world.clock)
    mia, live, _, ada = await ready(world, here, there)
    await there.join(there.connect(await world.person("Bob")), live.code)
    await world.advance(2)
    await looking.write()
    assert await told(world) == [], "nobody has a sensor on"
    await ada.ride(150, 151)
    await looking.write()
    await ada.ride(152, 153)
    await looking.write()
    assert await told(world) == [("heart_rate.watched", mia.account_id, ada.caller.account_id)]
    (line,) = [line for line in await entries(stores_of(world)) if line.act == "heart_rate.watched"]
    assert (line.thing_kind, line.thing, line.login) == ("class", str(live.id), mia.login_id)


async def test_of_who_hides_their_heart_nothing_is_seen_and_nothing_told(world: World) -> None:
    here, there = world.node(), world.node()
    looking = Looking(there.rooms, stores_of(world), world.clock)
    _, live, _, ada = await ready(world, here, there)
    await here.showings.choose(ada.caller, live.id, Choice("hidden"))
    await world.advance(1)
    await ada.ride(150, 151)
    await looking.write()
    assert await told(world) == []


async def test_nobody_but_who_leads_the_class_is_told_of(world: World) -> None:
    here = world.node()
    looking = Looking(here.rooms, stores_of(world), world.clock)
    mia, live, _, ada = await ready(world, here, here)
    await here.join(here.connect(await world.person("Bob")), live.code)
    await ada.ride(150, 151)
    await looking.write()
    assert {actor for _, actor, _ in await told(world)} == {mia.account_id}


async def test_a_node_that_stops_writes_what_it_has_seen(world: World) -> None:
    here = world.node()
    looking = Looking(here.rooms, stores_of(world), world.clock)
    mia, _, _, ada = await ready(world, here, here)
    running = asyncio.create_task(looking.run())
    await ada.ride(150, 151)
    looking.stop()
    async with asyncio.timeout(10):
        await running
    assert await told(world) == [("heart_rate.watched", mia.account_id, ada.caller.account_id)]


async def test_two_who_write_at_the_same_time_tell_everything_once(world: World) -> None:
    here = world.node()
    looking = Looking(here.rooms, stores_of(world), world.clock)
    mia, _, _, ada = await ready(world, here, here)
    await ada.ride(150, 151)
    await asyncio.gather(*(looking.write() for _ in range(3)))
    assert await told(world) == [("heart_rate.watched", mia.account_id, ada.caller.account_id)]


async def test_what_waits_is_written_once_the_database_is_there_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = world.node()
    looking = Looking(here.rooms, stores_of(world), world.clock)
    _, _, _, ada = await ready(world, here, here)
    await ada.ride(150, 151)

    async def away(_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as while_away:
        while_away.setattr(looking, "_keep", away)
        with pytest.raises(ConnectionError):
            await looking.write()
    await looking.write()
    await looking.write()
    assert len(await told(world)) == 1


async def test_what_a_coach_does_to_a_member_is_told(world: World) -> None:
    here = world.node()
    mia, live, desk, ada = await ready(world, here, here)
    line = here.rooms.get(live.id)
    assert line is not None
    n = line.member(ada.caller.account_id)
    assert n is not None
    await here.muting.mute(desk.connection, ChatMute(live.id, n.n, None))
    await here.coaches.remove(mia, live.id, n.n)
    await here.coaches.remove(mia, live.id, n.n)
    await here.coaches.let_in(mia, live.id, n.n)
    done = [(each.act, each.actor, each.account, each.thing) for each in await entries(stores_of(world))]
    assert done == [
        (act, mia.account_id, ada.caller.account_id, str(live.id))
        for act in ("chat.muted", "member.removed", "member.let_in")
    ]
