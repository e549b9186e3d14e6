"""Rooms as staff see them: over all nodes, whoever holds them, with every look and act in the audit."""

import msgspec
import pytest

from persistence.stores import Transactions
from realtime.register import Onlooker, RegisterAway, Seen
from rooms.attendance import Attendance
from services.classes.overseeing import Overseeing, RoomOpened
from services.kernel.caller import AccountRole, Caller
from services.kernel.ids import ClassId, Uuid7Ids
from services.kernel.problems import BadShape, ClassNotFound, ClassOver, Forbidden, RemovedFromClass, StepUpNeeded
from tests.rooms.conftest import TestNode, World, events
from tests.rooms.test_cues import Studio, studio
from tests.support.audited import entries

__all__ = ["studio"]
WHY = "they insult others in the chat"
HERE = "192.0.2.7"


def desk_on(world: World, node: TestNode, register: Onlooker | None = None) -> Overseeing:
    """The use cases as one node has them."""
    transactions = Transactions(world.database, world.clock, Uuid7Ids(world.clock))
    attendance = Attendance(register or world.register)
    return Overseeing(transactions, attendance, node.classes, node.coaches, world.clock)


async def staff(world: World, role: AccountRole = "admin", *, proven: bool = True) -> Caller:
    caller = await world.person("Otto")
    roles = frozenset({"member", role})
    at_ms = world.clock.wall_ms() if proven else None
    return msgspec.structs.replace(caller, roles=roles, second_factor_at_ms=at_ms)


async def acts(world: World) -> list[tuple[str, str]]:
    transactions = Transactions(world.database, world.clock, Uuid7Ids(world.clock))
    return [(each.act, each.reason) for each in await entries(transactions)]


def names(room: RoomOpened) -> dict[str, tuple[str, str | None, tuple[str, ...]]]:
    return {each.name: (each.role, each.leads, each.nodes) for each in room.people}


async def test_a_node_that_holds_nothing_shows_who_is_in_a_room_of_the_others(studio: Studio) -> None:
    world, elsewhere = studio.world, studio.world.node()
    desk, support = desk_on(world, elsewhere), await staff(world, "support")
    (look,) = (await desk.page(support, None, 50, HERE)).rooms
    assert (look.id, look.kind, look.title, look.coach, look.there) == (studio.live.id, "class", "Ride", "Mia", 3)
    room = await desk.room(support, studio.live.id, 0, 50, HERE)
    here, there = studio.here.node.id, studio.there.node.id
    assert room.room == look
    assert names(room) == {
        "Mia": ("coach", "coach", (here,)),
        "Ada": ("athlete", None, (here,)),
        "Bob": ("athlete", None, (there,)),
    }
    assert await acts(world) == [("rooms.looked_up", ""), ("room.looked_up", "")]


async def test_who_has_gone_is_shown_no_more(studio: Studio) -> None:
    world = studio.world
    desk, support = desk_on(world, studio.here), await staff(world, "support")
    studio.there.cut(studio.bob)
    await world.advance(1)
    assert names(await desk.room(support, studio.live.id, 0, 50, HERE))["Bob"] == ("athlete", None, ())
    for _ in range(20):
        await world.advance(1)
    assert set(names(await desk.room(support, studio.live.id, 0, 50, HERE))) == {"Mia", "Ada"}


async def test_rooms_and_people_come_page_by_page(studio: Studio) -> None:
    world = studio.world
    desk, support = desk_on(world, studio.here), await staff(world, "support")
    others = []
    for title in ("second", "third"):
        await world.advance(1)
        others.append(await studio.here.create_class(studio.mia, title))
    first = await desk.page(support, None, 2, HERE)
    assert [(look.title, look.there) for look in first.rooms] == [("third", 0), ("second", 0)]
    rest = await desk.page(support, first.next_before, 2, HERE)
    assert [look.id for look in rest.rooms] == [studio.live.id]
    assert rest.next_before is None
    people = await desk.room(support, studio.live.id, 0, 2, HERE)
    more = await desk.room(support, studio.live.id, people.next_after or 0, 2, HERE)
    assert [len(page.people) for page in (people, more)] == [2, 1]
    assert more.next_after is None
    assert set(names(people)) | set(names(more)) == {"Mia", "Ada", "Bob"}
    await studio.here.classes.end(studio.mia, others[1].id)
    assert [look.title for look in (await desk.page(support, None, 50, HERE)).rooms] == ["second", "Ride"]


async def test_whoever_staff_sends_out_leaves_on_every_node_and_the_coach_alone_lets_them_in(studio: Studio) -> None:
    world, elsewhere = studio.world, studio.world.node()
    desk, support = desk_on(world, elsewhere), await staff(world, "support")
    for _ in range(2):
        await desk.send_out(support, studio.live.id, studio.n["Bob"], WHY, HERE)
    await world.advance(0)
    assert [payload["n"] for name, payload in events(studio.bob) if name == "room.removed"] == [studio.n["Bob"]]
    assert studio.live.id not in studio.bob.rooms
    with pytest.raises(RemovedFromClass):
        await studio.here.join(studio.here.connect(studio.bob.caller), studio.live.code)
    assert await acts(world) == [("member.removed", WHY)], "once, with its reason"
    eve = await world.person("Eve", coach=True)
    joined = await studio.here.join(studio.here.connect(eve), studio.live.code)
    assert joined.you is not None
    await studio.here.coaches.appoint(studio.mia, studio.live.id, joined.you.n, "co_coach")
    with pytest.raises(Forbidden, match="only the coach lets them back in"):
        await studio.here.coaches.let_in(eve, studio.live.id, studio.n["Bob"])
    await studio.here.coaches.let_in(studio.mia, studio.live.id, studio.n["Bob"])
    await world.advance(0)
    await studio.here.join(studio.here.connect(studio.bob.caller), studio.live.code)


async def test_a_class_that_staff_ends_is_over_for_everybody_on_every_node(studio: Studio) -> None:
    world, elsewhere = studio.world, studio.world.node()
    desk, admin = desk_on(world, elsewhere), await staff(world)
    await desk.end(admin, studio.live.id, WHY, HERE)
    await world.advance(1)
    for connection in (studio.desk, studio.ada, studio.bob, studio.wall):
        assert [name for name, _ in events(connection) if name == "class.ended"] == ["class.ended"]
    assert await acts(world) == [("class.ended", WHY)]
    for again in (desk.end(admin, studio.live.id, WHY, HERE), desk.send_out(admin, studio.live.id, 1, WHY, HERE)):
        with pytest.raises(ClassOver):
            await again
    with pytest.raises(ClassNotFound):
        await desk.room(admin, studio.live.id, 0, 50, HERE)
    assert (await desk.page(admin, None, 50, HERE)).rooms == ()


async def test_nobody_sends_the_coach_or_a_number_that_nobody_has_out(studio: Studio) -> None:
    desk, admin = desk_on(studio.world, studio.here), await staff(studio.world)
    (mia,) = [each for each in (await desk.room(admin, studio.live.id, 0, 50, None)).people if each.leads == "coach"]
    with pytest.raises(Forbidden, match="end the class"):
        await desk.send_out(admin, studio.live.id, mia.n, WHY, None)
    with pytest.raises(BadShape):
        await desk.send_out(admin, studio.live.id, 99, WHY, None)
    with pytest.raises(ClassNotFound):
        await desk.end(admin, ClassId(studio.mia.account_id), WHY, None)


async def test_rooms_are_for_staff_with_a_fresh_factor_and_ending_one_for_admins(studio: Studio) -> None:
    """ASVS 8.2.1, OWASP API5: function level."""
    world, live = studio.world, studio.live.id
    desk = desk_on(world, studio.here)
    for caller, refusal in ((studio.mia, Forbidden), (await staff(world, proven=False), StepUpNeeded)):
        for asked in (
            desk.page(caller, None, 50, None),
            desk.room(caller, live, 0, 50, None),
            desk.send_out(caller, live, studio.n["Bob"], WHY, None),
            desk.end(caller, live, WHY, None),
        ):
            with pytest.raises(refusal):
                await asked
    with pytest.raises(Forbidden):
        await desk.end(await staff(world, "support"), live, WHY, None)
    assert await acts(world) == []


async def test_while_nobody_knows_who_is_there_the_room_shows_who_belongs_to_it(studio: Studio) -> None:
    class Away:
        async def look(self, rooms: list[str], *, names: bool = False) -> list[Seen | RegisterAway]:
            return [RegisterAway("cut off")] * len(rooms)

    world = studio.world
    await studio.here.coaches.remove(studio.mia, studio.live.id, studio.n["Bob"])
    desk, support = desk_on(world, studio.here, Away()), await staff(world, "support")  # type: ignore[arg-type]
    assert [look.there for look in (await desk.page(support, None, 50, None)).rooms] == [None]
    room = await desk.room(support, studio.live.id, 0, 50, None)
    assert room.room.there is None
    assert {name: nodes for name, (_, _, nodes) in names(room).items()} == {"Mia": (), "Ada": ()}
