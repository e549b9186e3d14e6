"""Signing keys of an installation, with a real database and two processes that know different things."""

from dataclasses import dataclass

import pytest

from persistence.database import Database
from persistence.stores import Transactions
from services.accounts.account import Account
from services.accounts.keyring import (
    LEAD_MS,
    READ_EVERY_MS,
    STOLEN_LEAD_MS,
    KeyProblem,
    SigningKey,
    load_key,
    make_key,
)
from services.accounts.keys import Keys
from services.accounts.tokens import Tokens
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, LoginId, Uuid7Ids
from services.kernel.problems import NotAuthenticated
from services.kernel.sealing import Seals

FIRST = load_key(make_key())
SEALS = Seals((b"s" * 32,))
TOKEN_MS = 12 * 3_600_000


@dataclass
class Node:
    keys: Keys
    tokens: Tokens
    clock: ManualClock

    def token(self) -> str:
        ids = Uuid7Ids(self.clock)
        account = Account(AccountId(ids.next()), "anna@example.org", "Anna", frozenset({"member"}), 0)
        return self.tokens.for_account(account, LoginId(ids.next()), self.clock.wall_ms()).token

    def knows(self, token: str) -> bool:
        try:
            self.tokens.identify(token, self.clock.wall_ms())
        except NotAuthenticated:
            return False
        return True


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def nodes(database: Database, clock: ManualClock) -> tuple[Node, Node]:
    both = node(database, clock), node(database, clock)
    for one in both:
        await one.keys.begin()
    return both


def node(database: Database, clock: ManualClock, seals: Seals = SEALS, first: SigningKey = FIRST) -> Node:
    """One that has not begun yet; a command never does."""
    keys = Keys(Transactions(database, clock, Uuid7Ids(clock)), seals, first, clock, token_ms=TOKEN_MS)
    return Node(keys, Tokens(keys.ring), clock)


async def test_a_new_key_is_published_first_then_signs_on_every_node_and_nobody_notices(
    nodes: tuple[Node, Node], clock: ManualClock
) -> None:
    one, other = nodes
    before = one.token()
    place = await one.keys.rotate()
    assert [key.kid for key in one.keys.published()] == [FIRST.kid, place.kid]
    assert one.tokens.keys.signing(clock.wall_ms()).kid == FIRST.kid
    await other.keys.read()
    await clock.advance(LEAD_MS / 1_000)
    after = one.token()
    assert one.tokens.keys.signing(clock.wall_ms()).kid == place.kid
    assert other.knows(after)
    assert other.knows(before)
    await clock.advance(TOKEN_MS / 1_000)
    assert [key.kid for key in other.keys.published()] == [place.kid]
    assert not other.knows(before), "the key of the installation has retired"


async def test_a_stolen_key_is_refused_on_every_node_as_soon_as_all_have_read(
    nodes: tuple[Node, Node], clock: ManualClock
) -> None:
    one, other = nodes
    before = one.token()
    await one.keys.rotate(stolen=True)
    await clock.advance(READ_EVERY_MS / 1_000)
    await other.keys.read()
    assert other.knows(before), "the new key does not sign yet"
    await clock.advance((STOLEN_LEAD_MS - READ_EVERY_MS) / 1_000)
    assert not one.knows(before)
    assert not other.knows(before)
    assert other.knows(one.token())


@pytest.mark.parametrize("stolen", [False, True])
async def test_a_rotation_that_begins_with_another_key_than_the_nodes_changes_nothing(
    database: Database, nodes: tuple[Node, Node], clock: ManualClock, stolen: bool
) -> None:
    one, _ = nodes
    stray = load_key(make_key())
    command = node(database, clock, first=stray)
    with pytest.raises(KeyProblem, match=f"begin with another key .{FIRST.kid}. than this process .{stray.kid}."):
        await command.keys.rotate(stolen=stolen)
    with pytest.raises(KeyProblem, match="PACELINE_TOKEN_KEY"):
        await command.keys.all()
    assert [(key.kid, key.retires_ms) for key in await one.keys.all()] == [(FIRST.kid, None)]


async def test_where_no_node_has_begun_nobody_knows_what_is_to_retire(database: Database, clock: ManualClock) -> None:
    command = node(database, clock)
    with pytest.raises(KeyProblem, match="start one of this version"):
        await command.keys.rotate(stolen=True)
    await node(database, clock).keys.begin()
    await command.keys.rotate(stolen=True)


async def test_every_key_that_nodes_begin_with_retires_whichever_the_command_has(
    database: Database, nodes: tuple[Node, Node], clock: ManualClock
) -> None:
    one, _ = nodes
    before = one.token()
    apart = node(database, clock, first=load_key(make_key()))
    await apart.keys.begin()
    elsewhere = apart.token()
    await apart.keys.rotate(stolen=True)
    await clock.advance(STOLEN_LEAD_MS / 1_000)
    await one.keys.read()
    assert not one.knows(before), "that of the command was another one"
    assert not apart.knows(elsewhere)
    assert apart.knows(one.token())


async def test_a_key_that_another_node_begins_with_is_not_believed_for_that(
    database: Database, nodes: tuple[Node, Node], clock: ManualClock
) -> None:
    one, _ = nodes
    stolen = one.token()
    replaced = node(database, clock, first=load_key(make_key()))
    await replaced.keys.begin()
    assert not replaced.knows(stolen)
    await replaced.keys.rotate()
    assert not replaced.knows(stolen), "that it is to retire later makes it no better"
    assert FIRST.kid not in [key.kid for key in replaced.keys.published()]


async def test_a_node_that_begins_again_does_not_bring_a_retired_key_back(
    database: Database, nodes: tuple[Node, Node], clock: ManualClock
) -> None:
    one, _ = nodes
    before = one.token()
    await one.keys.rotate(stolen=True)
    await clock.advance(STOLEN_LEAD_MS / 1_000)
    again = node(database, clock)
    await again.keys.begin()
    assert not again.knows(before)
    assert again.knows(one.token())


async def test_a_second_rotation_waits_for_the_first_unless_a_key_was_stolen(
    nodes: tuple[Node, Node], clock: ManualClock
) -> None:
    one, other = nodes
    first = await one.keys.rotate()
    with pytest.raises(KeyProblem, match="takes over soon"):
        await other.keys.rotate()
    assert len(await one.keys.all()) == 2, "what was refused left nothing behind"
    await other.keys.rotate(stolen=True)
    await clock.advance(STOLEN_LEAD_MS / 1_000)
    shown = {key.kid: key for key in await one.keys.all()}
    assert shown[first.kid].retired, "whoever has stolen one may have the one that waited, too"
    assert [key.signs for key in shown.values()].count(True) == 1


async def test_old_keys_are_forgotten_but_never_that_of_the_installation(
    nodes: tuple[Node, Node], clock: ManualClock
) -> None:
    one, _ = nodes
    old = await one.keys.rotate()
    for _ in range(3):
        await clock.advance((LEAD_MS + TOKEN_MS) / 1_000)
        await one.keys.rotate()
    kids = {key.kid: key for key in await one.keys.all()}
    assert old.kid not in kids
    assert kids[FIRST.kid].retired


async def test_without_the_sealing_key_a_node_believes_and_does_not_sign(
    database: Database, nodes: tuple[Node, Node], clock: ManualClock
) -> None:
    one, _ = nodes
    await one.keys.rotate()
    await clock.advance(LEAD_MS / 1_000)
    stranger = node(database, clock, Seals((b"x" * 32,)))
    await stranger.keys.read()
    assert stranger.knows(one.token())
    assert stranger.tokens.keys.signing(clock.wall_ms()).kid == FIRST.kid


async def test_a_private_key_is_not_in_the_database_and_no_row_can_have_anothers(
    database: Database, nodes: tuple[Node, Node], clock: ManualClock
) -> None:
    one, other = nodes
    first = await one.keys.rotate()
    await clock.advance((LEAD_MS + 1) / 1_000)
    second = await one.keys.rotate()
    async with database.tx() as tx:
        rows = await tx.fetch("SELECT kid, sealed FROM signing_keys WHERE sealed IS NOT NULL ORDER BY signs_from")
        assert [row["kid"] for row in rows] == [first.kid, second.kid]
        assert all(b"PRIVATE" not in row["sealed"] for row in rows)
        await tx.execute(
            "UPDATE signing_keys SET sealed = $1 WHERE kid = $2", rows[0]["sealed"], second.kid
        )  # the older key under the newer one's name
    await clock.advance(LEAD_MS / 1_000)
    await other.keys.read()
    assert other.tokens.keys.signing(clock.wall_ms()).kid == first.kid
