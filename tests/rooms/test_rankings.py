"""What a class is ranked by: chosen, changed while it is live, and the same on every node."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from persistence.database import Database
from realtime.connection import Connection
from rooms.rankings import ranking_key, said_ranking
from rooms.room import channel_of
from services.classes.live_class import LiveClass
from services.classes.metric import Figure
from services.classes.showings import Choice
from services.kernel.caller import Caller
from services.kernel.problems import ClassOver, Forbidden
from services.training.sample import Motion, Sample
from tests.rooms.conftest import TestNode, World, events
from tests.rooms.test_rooms import steady


@dataclass
class Evening:
    """A class over two nodes: its coach and Ann here, Bob there. Both have been riding for ten minutes."""

    world: World
    here: TestNode
    there: TestNode
    live: LiveClass
    mia: Caller
    ann: Caller
    bob: Caller
    desk: Connection
    phones: dict[str, Connection] = field(default_factory=dict)

    async def beats(self) -> None:
        for node in (self.here, self.there):
            node.rooms.publish_shares()
        await self.world.advance(0)
        for node in (self.here, self.there):
            node.rooms.broadcast_boards()

    def figures(self, node: TestNode) -> dict[str, tuple[int | None, float | None]]:
        """Rank and figure of everybody on the board of a node, by name."""
        room = node.rooms.get(self.live.id)
        assert room is not None
        figures = {figured.n: figured.figure for figured in room.board.figures()}
        names = {member.n: member.name for member in room.board.members()}
        return {names[row.n]: (row.rank, figures.get(row.n)) for row in room.board.rows()}


async def knows(database: Database, caller: Caller, mass_kg: float) -> None:
    """The profile of a woman born in 1990."""
    async with database.tx() as tx:
        await tx.execute(
            "UPDATE accounts SET sex = 'female', mass_kg = $2, birth_date = '1990-01-01' WHERE id = $1",
            caller.account_id,
            mass_kg,
        )


@pytest.fixture
async def evening(database: Database) -> AsyncIterator[Evening]:
    world = World(database)
    here, there = world.node(), world.node()
    await world.advance(0)
    mia = await world.person("Mia", coach=True)
    ann, bob = await world.person("Ann"), await world.person("Bob")
    await knows(database, ann, 60.0)
    live = await here.create_class(mia, metric="calories")
    desk = here.connect(mia)
    await here.join(desk, live.code, "coach")
    made = Evening(world, here, there, live, mia, ann, bob, desk)
    for node, caller, bpm in ((here, ann, 130), (there, bob, 150)):
        made.phones[caller.name] = phone = node.connect(caller)
        await node.join(phone, live.code)
        opened = await node.open(phone, live.code)
        node.send(phone, opened.stream, 0, steady(range(601), bpm))
    await world.advance(1)
    await made.beats()
    yield made
    await world.close()


async def test_a_class_says_what_it_is_ranked_by_with_unit_and_tie_rule(evening: Evening) -> None:
    phone = evening.there.connect(await evening.world.person("Eve"))
    room = (await evening.there.join(phone, evening.live.code)).room
    assert (room.metric, room.unit, room.ties, room.ranking_n) == ("calories", "kcal", "as_shown", 0)


async def test_calories_are_ranked_of_those_who_show_them_and_told_to_the_coach_and_themselves(
    evening: Evening,
) -> None:
    assert evening.figures(evening.there) == {"Ann": (None, None), "Bob": (None, None)}
    for connection in (evening.desk, evening.phones["Ann"]):
        told = [payload for event, payload in events(connection) if event == "board.private"]
        assert [figure for _, figure in told[-1]["figures"]] == [78.0]
    await evening.there.showings.choose(evening.ann, evening.live.id, Choice("full", body=True))
    await evening.world.advance(0)
    await evening.beats()
    for node in (evening.here, evening.there):
        assert evening.figures(node) == {"Ann": (1, 78.0), "Bob": (None, None)}
    assert [
        payload.get("rows", []) for event, payload in events(evening.phones["Ann"]) if event == "board.private"
    ] == [[]]
    await evening.here.showings.choose(evening.ann, evening.live.id, Choice("full"))
    await evening.world.advance(0)
    for node in (evening.here, evening.there):
        assert evening.figures(node)["Ann"] == (None, None)


async def test_another_metric_holds_from_the_beginning_of_the_class_on_every_node(evening: Evening) -> None:
    changed = await evening.there.rankings.rank_by(evening.mia, evening.live.id, "zone_minutes")
    assert (changed.metric, changed.ranking_n) == ("zone_minutes", 1)
    await evening.world.advance(0)
    await evening.beats()
    for node in (evening.here, evening.there):
        assert evening.figures(node) == {"Ann": (1, 10.0), "Bob": (1, 10.0)}
    for phone in evening.phones.values():
        told = [payload for event, payload in events(phone) if event == "class.ranking"]
        assert [(each["metric"], each["unit"], each["ranking_n"]) for each in told] == [("zone_minutes", "min", 1)]


async def test_a_node_that_comes_later_knows_the_figures_from_what_is_stored(evening: Evening) -> None:
    await evening.here.showings.choose(evening.ann, evening.live.id, Choice("full", body=True))
    for phone in evening.phones.values():
        (evening.here if phone.caller is evening.ann else evening.there).cut(phone)
    fresh = evening.world.node()
    room = await fresh.rooms.load(evening.live.id)
    room.board.refresh(evening.world.clock.wall_ms())
    assert evening.figures(fresh) == {"Ann": (1, 78.0), "Bob": (None, None)}


async def test_what_a_worker_says_again_and_what_is_older_change_nothing(evening: Evening) -> None:
    first = await evening.here.rankings.rank_by(evening.mia, evening.live.id, "improvement")
    second = await evening.here.rankings.rank_by(evening.mia, evening.live.id, "effort")
    for late in (first, second):
        await evening.here.rooms.feeds.append(
            channel_of(evening.live.id), "class.ranking", said_ranking(late), f"{ranking_key(late)}:late"
        )
    await evening.world.advance(0)
    for node in (evening.here, evening.there):
        room = node.rooms.get(evening.live.id)
        assert room is not None
        assert (room.live.metric, room.board.metric) == ("effort", "effort")
    again = await evening.here.rankings.rank_by(evening.mia, evening.live.id, "effort")
    assert again.ranking_n == 2


async def test_only_who_leads_a_live_class_says_what_it_is_ranked_by(evening: Evening) -> None:
    with pytest.raises(Forbidden):
        await evening.here.rankings.rank_by(evening.ann, evening.live.id, "effort")
    await evening.here.classes.end(evening.mia, evening.live.id)
    with pytest.raises(ClassOver):
        await evening.here.rankings.rank_by(evening.mia, evening.live.id, "effort")


async def test_improvement_is_measured_by_the_workouts_before_the_class(evening: Evening, database: Database) -> None:
    eve = await evening.world.person("Eve")
    summary: dict[str, Any] = {"ms_in_zone": [0, 600_000, 600_000, 0, 0, 0]}
    async with database.tx() as tx:
        for days, verdict in ((1, "accepted"), (2, "accepted"), (41, "accepted"), (3, "rejected"), (43, "accepted")):
            summary["ms_in_zone"][5] = 0 if verdict == "accepted" and days < 43 else 6_000_000
            await tx.execute(
                """
                INSERT INTO workouts (id, account_id, physiology, created_at, summary, verdict)
                VALUES (gen_random_uuid(), $1, '{}', to_timestamp($2), $3, $4)
                """,
                eve.account_id,
                evening.world.clock.wall_ms() / 1_000 - days * 86_400,
                msgspec.json.encode(summary).decode(),
                verdict,
            )
    await evening.here.rankings.rank_by(evening.mia, evening.live.id, "improvement")
    phone = evening.there.connect(eve)
    await evening.there.join(phone, evening.live.code)
    opened = await evening.there.open(phone, evening.live.code)
    evening.there.send(phone, opened.stream, 0, steady(range(601), 140))
    await evening.world.advance(1)
    await evening.beats()
    told = [payload for event, payload in events(phone) if event == "board.private"]
    assert [figure for _, figure in told[-1]["figures"]] == [100.0]
    async with evening.here.rooms._transactions() as stores:
        member = await stores.classes.membership(evening.live.id, eve.account_id)
    assert member is not None
    assert member.baseline == 1_500
    room = evening.there.rooms.get(evening.live.id)
    assert room is not None
    assert room._own[eve.account_id].figure == Figure("improvement", 100)


async def test_distance_and_power_per_kg_are_ranked_from_samples_that_carry_them(evening: Evening) -> None:
    eve = await evening.world.person("Eve")
    await knows(evening.world.database, eve, 50.0)
    phone = evening.there.connect(eve)
    await evening.there.join(phone, evening.live.code)
    opened = await evening.there.open(phone, evening.live.code)
    ride = tuple(Sample(1_000 * n, 140, (), Motion(distance_m=8 * n, power_w=150)) for n in range(91))
    evening.there.send(phone, opened.stream, 0, ride)
    await evening.world.advance(1)
    for metric, figure in (("distance", 720.0), ("power_per_kg", 3.0)):
        await evening.here.rankings.rank_by(evening.mia, evening.live.id, metric)  # type: ignore[arg-type]
        await evening.here.showings.choose(eve, evening.live.id, Choice("alias", "Fox", metric == "power_per_kg"))
        await evening.world.advance(0)
        await evening.beats()
        for node in (evening.here, evening.there):
            assert evening.figures(node) == {"Fox": (1, figure), "Ann": (None, None), "Bob": (None, None)}
    evening.there.cut(phone)
    fresh = evening.world.node()
    room = await fresh.rooms.load(evening.live.id)
    room.board.refresh(evening.world.clock.wall_ms())
    assert evening.figures(fresh)["Fox"] == (1, 3.0)
