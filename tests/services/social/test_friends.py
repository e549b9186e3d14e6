"""Two who have both said so: asking, answering, taking back, parting; and what nobody finds out by asking. On a real database."""

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Final

import msgspec
import pytest

from persistence.database import Database
from services.kernel.caller import Caller
from services.kernel.facts import AnyFact, FriendAsked, FriendsMade
from services.kernel.ids import AccountId
from services.kernel.problems import (
    BadShape,
    NotFound,
    Problem,
    TooManyFriendRequests,
    TooManyFriends,
    YouBlocked,
)
from services.social.blocks import Blocks
from services.social.friend import LIFE_MS, MAX_ASKED, MAX_FRIENDS, MAX_SHOWN, Request
from services.social.friends import Friends
from tests.support.world import World
from workers.jobs import BITE

DAY_S: Final = 86_400


@dataclass
class Told:
    """What live screens were told."""

    met: list[set[AccountId]] = field(default_factory=list)
    parted: list[set[AccountId]] = field(default_factory=list)


class Ears:
    """In place of the screens."""

    def __init__(self, told: Told) -> None:
        self._told = told

    async def met(self, one: AccountId, other: AccountId) -> None:
        self._told.met.append({one, other})

    async def parted(self, one: AccountId, other: AccountId) -> None:
        self._told.parted.append({one, other})

    async def changed(self, account_id: AccountId) -> None:
        """Blocks are not the point here."""


class Yard:
    """The use cases, and Ada and Bob."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.screens = Told()
        ears = Ears(self.screens)
        self.friends = Friends(world.transactions, world.clock, ears)
        self.blocks = Blocks(world.transactions, world.clock, ears, ears)
        self.ada: Caller
        self.bob: Caller

    async def ask(self, who: Caller, whom: Caller) -> str:
        return await self.friends.ask(who, whom.account_id, f"my {whom.name}")

    async def befriend(self, who: Caller, whom: Caller) -> None:
        assert await self.ask(who, whom) == "asked"
        await self.friends.accept(whom, who.account_id)

    async def names(self, who: Caller) -> tuple[list[str], list[str], list[str]]:
        """Friends, whom they have asked, who asks them."""
        own = await self.friends.own(who)
        return (
            [one.name for one in own.friends],
            [one.called for one in own.asked],
            [one.name for one in own.asking],
        )

    async def facts(self) -> list[AnyFact]:
        return [fact for fact in await self.world.told() if isinstance(fact, FriendAsked | FriendsMade)]

    async def crowd(self, table: str, of: Caller, n: int) -> None:
        """`n` more friends of somebody, or requests."""
        rows = {
            "friends": "INSERT INTO friends SELECT $1, id, now() FROM crowd",
            "asked": "INSERT INTO friend_requests SELECT $1, id, 'N', $3 FROM crowd",
            "asking": "INSERT INTO friend_requests SELECT id, $1, 'N', $3 - n * interval '1 second' FROM crowd",
        }
        async with self.world.transactions() as stores:
            await stores.tx.execute(
                f"""
                WITH numbers AS (SELECT n, gen_random_uuid() AS id FROM generate_series(1, $2) AS n), crowd AS (
                    INSERT INTO accounts (id, email, name, password_hash, roles, created_at)
                    SELECT id, id || '@crowd.example.org', 'N', '', '{{member}}', $3::timestamptz FROM numbers
                    RETURNING id, 1 AS n
                )
                {rows[table]}
                """,
                of.account_id,
                n,
                await stores.tx.fetchval("SELECT to_timestamp($1)", self.world.clock.wall_ms() / 1_000),
            )


@pytest.fixture
async def yard(database: Database) -> Yard:
    made = Yard(World(database))
    made.ada, made.bob = await made.world.account("Ada"), await made.world.account("Bob")
    return made


async def test_both_have_to_say_so_and_each_sees_it_from_their_side(yard: Yard) -> None:
    assert await yard.ask(yard.ada, yard.bob) == "asked"
    assert await yard.names(yard.ada) == ([], ["my Bob"], [])
    assert await yard.names(yard.bob) == ([], [], ["Ada"])
    with pytest.raises(NotFound):
        await yard.friends.accept(yard.ada, yard.bob.account_id)
    assert await yard.names(yard.ada) == ([], ["my Bob"], []), "nobody says yes to themselves"
    for _ in range(2):
        await yard.friends.accept(yard.bob, yard.ada.account_id)
    assert await yard.names(yard.ada) == (["Bob"], [], [])
    assert await yard.names(yard.bob) == (["Ada"], [], [])
    assert await yard.ask(yard.ada, yard.bob) == "friends"
    ada, bob = yard.ada.account_id, yard.bob.account_id
    assert await yard.facts() == [FriendAsked(ada, bob), FriendsMade(ada, bob)]
    assert yard.screens.met == [{ada, bob}]


async def test_either_ends_it_and_the_list_of_the_other_is_shorter(yard: Yard) -> None:
    await yard.befriend(yard.ada, yard.bob)
    for _ in range(2):
        await yard.friends.part(yard.bob, yard.ada.account_id)
    assert await yard.names(yard.ada) == await yard.names(yard.bob) == ([], [], [])
    assert yard.screens.parted == [{yard.ada.account_id, yard.bob.account_id}]
    assert len(await yard.facts()) == 2, "nobody is told"
    await yard.befriend(yard.ada, yard.bob)


async def test_what_is_taken_back_is_asked_no_more_and_asking_again_rings_at_no_door(yard: Yard) -> None:
    for _ in range(3):
        await yard.ask(yard.ada, yard.bob)
        assert await yard.names(yard.bob) == ([], [], ["Ada"])
        await yard.friends.withdraw(yard.ada, yard.bob.account_id)
        assert await yard.names(yard.ada) == await yard.names(yard.bob) == ([], [], [])
    with pytest.raises(NotFound):
        await yard.friends.accept(yard.bob, yard.ada.account_id)
    assert await yard.facts() == [FriendAsked(yard.ada.account_id, yard.bob.account_id)]


async def test_who_has_declined_hears_no_more_of_it_until_the_request_is_over(yard: Yard) -> None:
    await yard.ask(yard.ada, yard.bob)
    await yard.friends.decline(yard.bob, yard.ada.account_id)
    await yard.friends.withdraw(yard.ada, yard.bob.account_id)
    assert await yard.ask(yard.ada, yard.bob) == "asked"
    assert await yard.names(yard.ada) == ([], ["my Bob"], [])
    assert await yard.names(yard.bob) == ([], [], [])
    await yard.world.clock.advance(30 * DAY_S)
    assert await yard.names(yard.ada) == ([], [], [])
    await yard.ask(yard.ada, yard.bob)
    assert await yard.names(yard.bob) == ([], [], ["Ada"])


async def test_who_has_declined_may_think_better_of_it_either_way(yard: Yard) -> None:
    for answer in ("accept", "ask"):
        await yard.ask(yard.ada, yard.bob)
        await yard.friends.decline(yard.bob, yard.ada.account_id)
        if answer == "accept":
            await yard.friends.accept(yard.bob, yard.ada.account_id)
        else:
            assert await yard.ask(yard.bob, yard.ada) == "friends"
        assert await yard.names(yard.ada) == (["Bob"], [], [])
        await yard.friends.part(yard.ada, yard.bob.account_id)


async def test_a_request_is_over_after_thirty_days_and_then_forgotten(yard: Yard) -> None:
    await yard.ask(yard.ada, yard.bob)
    await yard.world.clock.advance(30 * DAY_S)
    assert await yard.names(yard.ada) == await yard.names(yard.bob) == ([], [], [])
    with pytest.raises(NotFound):
        await yard.friends.accept(yard.bob, yard.ada.account_id)
    assert await yard.ask(yard.bob, yard.ada) == "asked", "what is over is no yes"
    async with yard.world.transactions() as stores:
        before = yard.world.clock.wall_ms() - LIFE_MS
        assert (
            await stores.friends.prune(await stores.tx.fetchval("SELECT to_timestamp($1)", before / 1_000), BITE) == 1
        )
    assert await yard.names(yard.bob) == ([], ["my Ada"], [])


@pytest.mark.parametrize("n", range(5))
async def test_two_who_ask_each_other_at_once_become_friends(yard: Yard, n: int) -> None:
    answers = await asyncio.gather(yard.ask(yard.ada, yard.bob), yard.ask(yard.bob, yard.ada))
    assert sorted(answers) == ["asked", "friends"], n
    assert await yard.names(yard.ada) == (["Bob"], [], [])
    assert await yard.names(yard.bob) == (["Ada"], [], [])
    assert [type(fact) for fact in await yard.facts()] == [FriendAsked, FriendsMade]


@pytest.mark.parametrize("n", range(5))
async def test_of_a_yes_and_a_block_at_once_nothing_is_left_but_the_block(yard: Yard, n: int) -> None:
    await yard.ask(yard.ada, yard.bob)
    await asyncio.gather(
        yard.friends.accept(yard.bob, yard.ada.account_id),
        yard.blocks.block(yard.ada, yard.bob.account_id),
        yard.blocks.block(yard.bob, yard.ada.account_id),
        return_exceptions=True,
    )
    assert await yard.names(yard.ada) == await yard.names(yard.bob) == ([], [], []), n
    with pytest.raises(YouBlocked):
        await yard.ask(yard.ada, yard.bob)


async def test_a_block_ends_a_friendship_and_forbids_the_next(yard: Yard) -> None:
    await yard.befriend(yard.ada, yard.bob)
    await yard.blocks.block(yard.ada, yard.bob.account_id)
    assert await yard.names(yard.ada) == await yard.names(yard.bob) == ([], [], [])
    assert yard.screens.parted == [{yard.ada.account_id, yard.bob.account_id}]
    with pytest.raises(YouBlocked):
        await yard.ask(yard.ada, yard.bob)
    assert await yard.ask(yard.bob, yard.ada) == "asked"
    with pytest.raises(YouBlocked):
        await yard.friends.accept(yard.ada, yard.bob.account_id)
    await yard.blocks.unblock(yard.ada, yard.bob.account_id)
    assert await yard.names(yard.ada) == ([], [], []), "what was asked meanwhile stays unwanted"
    assert await yard.ask(yard.ada, yard.bob) == "friends", "until they ask themselves"


async def story(yard: Yard, who: Caller, whom: AccountId, fate: str) -> list[object]:
    """All that somebody can see who asks whom they should not have, through a month."""
    seen: list[object] = []

    async def see(answer: object = None) -> None:
        own = msgspec.to_builtins(await yard.friends.own(who))
        seen.append((answer, len(own["friends"]), [one["called"] for one in own["asked"]], own["asking"]))

    async def tried(act: str) -> str:
        try:
            await {"accept": yard.friends.accept, "part": yard.friends.part, "withdraw": yard.friends.withdraw}[act](
                who, whom
            )
        except Problem as problem:
            return f"{problem.code}: {problem.message}"
        return act

    target = Caller(whom, who.login_id, "T", who.roles, 2**53)
    if fate == "blocked before":
        await yard.blocks.block(target, who.account_id)
    await see(await yard.friends.ask(who, whom, "T"))
    if fate == "declined":
        await yard.friends.decline(target, who.account_id)
    if fate == "blocked afterwards":
        await yard.blocks.block(target, who.account_id)
    await see(await yard.friends.ask(who, whom, "T"))
    for act in ("accept", "part", "withdraw"):
        await see(await tried(act))
    await see(await yard.friends.ask(who, whom, "T"))
    await yard.world.clock.advance(30 * DAY_S)
    await see(await yard.friends.ask(who, whom, "T"))
    return seen


async def test_who_asks_cannot_tell_silence_from_no_from_a_block_from_nobody(yard: Yard) -> None:
    """OWASP API3:2023, ASVS 8.2: an answer tells neither a block nor whether there is an account."""
    stories = []
    for fate in ("silence", "declined", "blocked before", "blocked afterwards", "nobody"):
        asker = await yard.world.account("Eve")
        whom = AccountId(uuid.uuid4()) if fate == "nobody" else (await yard.world.account("Cleo")).account_id
        stories.append(await story(yard, asker, whom, fate))
    assert [one == stories[0] for one in stories] == [True] * 5, stories


async def test_who_has_left_is_nobodys_friend_and_a_request_to_them_waits_like_any(yard: Yard) -> None:
    cleo = await yard.world.account("Cleo")
    await yard.befriend(yard.ada, yard.bob)
    await yard.ask(yard.ada, cleo)
    async with yard.world.transactions() as stores:
        await stores.tx.execute("DELETE FROM accounts WHERE id = ANY($1)", [yard.bob.account_id, cleo.account_id])
    assert await yard.names(yard.ada) == ([], ["my Cleo"], [])


async def test_there_is_an_end_to_whom_one_may_ask_in_a_month(yard: Yard) -> None:
    await yard.crowd("asked", yard.ada, MAX_ASKED - 1)
    await yard.ask(yard.ada, yard.bob)
    await yard.friends.withdraw(yard.ada, yard.bob.account_id)
    cleo = await yard.world.account("Cleo")
    with pytest.raises(TooManyFriendRequests):
        await yard.ask(yard.ada, cleo)
    assert await yard.ask(yard.ada, yard.bob) == "asked", "who was asked already may be asked again"
    await yard.ask(cleo, yard.ada)
    assert await yard.ask(yard.ada, cleo) == "friends", "a yes is no request"
    await yard.world.clock.advance(30 * DAY_S)
    assert await yard.ask(yard.ada, await yard.world.account("Dan")) == "asked"


async def test_there_is_always_room_for_a_yes_to_what_was_asked(yard: Yard) -> None:
    cleo = await yard.world.account("Cleo")
    await yard.crowd("friends", yard.ada, MAX_FRIENDS - 1)
    await yard.ask(yard.ada, yard.bob)
    await yard.ask(cleo, yard.ada)
    for act in (yard.ask(yard.ada, cleo), yard.friends.accept(yard.ada, cleo.account_id)):
        with pytest.raises(TooManyFriends):
            await act
    await yard.friends.accept(yard.bob, yard.ada.account_id)
    assert len((await yard.friends.own(yard.ada)).friends) == MAX_FRIENDS
    await yard.friends.part(yard.ada, yard.bob.account_id)
    await yard.friends.accept(yard.ada, cleo.account_id)
    assert len((await yard.friends.own(yard.ada)).friends) == MAX_FRIENDS


async def test_whoever_is_asked_by_very_many_is_shown_the_first_of_them(yard: Yard) -> None:
    await yard.crowd("asking", yard.bob, MAX_SHOWN)
    assert await yard.ask(yard.ada, yard.bob) == "asked"
    shown = (await yard.friends.own(yard.bob)).asking
    assert (len(shown), {one.name for one in shown}) == (MAX_SHOWN, {"N"})
    await yard.friends.decline(yard.bob, shown[0].account_id)
    assert (await yard.friends.own(yard.bob)).asking[-1].name == "Ada"


async def test_oneself_and_a_name_of_nothing_are_refused(yard: Yard) -> None:
    with pytest.raises(BadShape):
        await yard.ask(yard.ada, yard.ada)
    with pytest.raises(BadShape):
        await yard.friends.ask(yard.ada, yard.bob.account_id, "  ")


async def test_the_friends_of_many_are_read_at_once(yard: Yard) -> None:
    await yard.befriend(yard.ada, yard.bob)
    cleo = await yard.world.account("Cleo")
    ada, bob = yard.ada.account_id, yard.bob.account_id
    async with yard.world.transactions() as stores:
        assert await stores.friends.of((ada, bob, cleo.account_id)) == {
            ada: frozenset({bob}),
            bob: frozenset({ada}),
            cleo.account_id: frozenset(),
        }
        request = Request(ada, cleo.account_id, "Cleo", yard.world.clock.wall_ms())
        await stores.friends.put(request)
        assert await stores.friends.request(ada, cleo.account_id) == request
