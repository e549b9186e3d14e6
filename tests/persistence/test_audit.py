"""The audit in a real Postgres: who adds waits for nobody, the chain stays whole, and nobody changes it unnoticed."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from paceline.embedded.cluster import SUPERUSER
from persistence.database import Database
from persistence.stores import Transactions
from services.audit.chain import BEGINNING, Finding, Link, Verifier
from services.audit.checkpoint import Checkpoint, made
from services.audit.entry import Entry, actor_of, operator
from services.kernel.clock import SystemClock
from services.kernel.ids import Uuid7Ids
from tests.support.world import World

KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


async def add(world: World, *reasons: str) -> None:
    for reason in reasons:
        async with world.transactions() as stores:
            await stores.audit.add(Entry(operator(None), "job.run", reason=reason))


async def link(world: World) -> int:
    async with world.transactions() as stores:
        return await stores.audit.link()


async def links(world: World) -> list[Link]:
    async with world.transactions() as stores:
        return await stores.audit.links(0, 10_000)


async def chained(world: World, count: int) -> list[Link]:
    """A chain of so many entries."""
    await add(world, *map(str, range(1, count + 1)))
    await link(world)
    return await links(world)


def found(chain: Sequence[Link], *checkpoints: Checkpoint) -> list[tuple[str, int]]:
    verifier = Verifier(checkpoints)
    findings: list[Finding] = [finding for each in chain for finding in verifier.step(each)]
    return [(finding.kind, finding.position) for finding in (*findings, *verifier.end())]


async def superuser(world: World) -> asyncpg.Connection:
    """A connection as somebody whom no grant keeps out."""
    return await asyncpg.connect(world.database.dsn, user=SUPERUSER)


async def evil(world: World, *statements: str) -> None:
    """A superuser, who takes the trigger away first."""
    connection = await superuser(world)
    try:
        await connection.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_only_grows")
        for statement in statements:
            await connection.execute(statement)
        await connection.execute("ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_only_grows")
    finally:
        await connection.close()


# -- adding and linking -----------------------------------------------------------------------------------------------


async def test_an_entry_is_linked_as_it_was_told(world: World) -> None:
    coach, athlete = await world.account("Cora", "coach"), await world.account("Ada")
    async with world.transactions() as stores:
        await stores.audit.add(
            Entry(
                actor_of(coach, "203.0.113.9"), "role.granted", athlete.account_id, reason="new", data={"role": "coach"}
            )
        )
    assert await link(world) == 1
    (only,) = await links(world)
    assert (only.position, only.previous) == (1, BEGINNING)
    row = only.row
    assert (row.act, row.network, row.reason, row.data) == ("role.granted", "203.0.113.0/24", "new", '{"role":"coach"}')
    assert (row.at_ms, row.login) == (world.clock.wall_ms(), coach.login_id)
    assert found([only]) == []


async def test_a_transaction_that_is_rolled_back_leaves_nothing(world: World) -> None:
    async def fails() -> None:
        async with world.transactions() as stores:
            await stores.audit.add(Entry(operator(None), "job.run"))
            raise LookupError

    with pytest.raises(LookupError):
        await fails()
    await add(world, "kept")
    assert await link(world) == 1
    assert [each.row.reason for each in await links(world)] == ["kept"]


async def test_nobody_who_adds_waits_for_another_and_who_commits_last_stands_last(world: World) -> None:
    async with world.transactions() as slow:
        await slow.audit.add(Entry(operator(None), "job.run", reason="first told"))
        await add(world, "second told")
        assert await link(world) == 1
    assert await link(world) == 1
    chain = await links(world)
    assert [each.row.reason for each in chain] == ["second told", "first told"]
    assert found(chain) == []


async def test_two_linkers_do_not_wait_for_each_other_and_do_not_fork(world: World) -> None:
    await add(world, "one")
    async with world.transactions() as first:
        assert await first.audit.link() == 1
        assert await link(world) == 0
    assert len(await links(world)) == 1


async def test_many_writers_on_many_nodes_make_one_chain(world: World) -> None:
    """Reliability, 3.3: concurrent writers."""
    clock = SystemClock()
    nodes = [Transactions(world.database, clock, Uuid7Ids(clock)) for _ in range(4)]
    writing = True

    async def write(node: Transactions, name: int) -> None:
        for number in range(25):
            async with node() as stores:
                await stores.audit.add(Entry(operator(None), "job.run", reason=f"{name}/{number}"))

    async def link_all(node: Transactions) -> None:
        while writing:
            async with node() as stores:
                await stores.audit.link(7)
            await asyncio.sleep(0)

    linkers = [asyncio.create_task(link_all(node)) for node in nodes[:2]]
    await asyncio.gather(*(write(node, name) for name, node in enumerate(nodes)))
    writing = False
    await asyncio.gather(*linkers)
    while await link(world):
        pass
    chain = await links(world)
    assert found(chain) == []
    reasons = [each.row.reason for each in chain]
    assert sorted(reasons) == sorted(f"{name}/{number}" for name in range(4) for number in range(25))
    for name in range(4):
        mine = [int(reason.split("/")[1]) for reason in reasons if reason.startswith(f"{name}/")]
        assert mine == sorted(mine), "what one told after the other stands behind it"


# -- pseudonyms -------------------------------------------------------------------------------------------------------


async def test_an_account_has_one_pseudonym_and_no_row_of_the_chain_has_its_id(world: World) -> None:
    ada = await world.account("Ada")
    async with world.transactions() as stores:
        await stores.audit.add(Entry(actor_of(ada), "role.granted", ada.account_id, data={"role": "coach"}))
        await stores.audit.add(Entry(operator(None), "role.granted", ada.account_id, data={"role": "coach"}))
    await link(world)
    one, two = (each.row for each in await links(world))
    assert one.actor == one.about == two.about is not None
    assert one.about != ada.account_id


async def test_who_was_forgotten_cannot_be_found_in_the_chain_and_it_holds(world: World) -> None:
    ada, ben = await world.account("Ada"), await world.account("Ben")
    for person in (ada, ben):
        async with world.transactions() as stores:
            await stores.audit.add(Entry(operator(None), "role.granted", person.account_id, data={"role": "coach"}))
    await link(world)
    async with world.transactions() as stores:
        await stores.audit.add(Entry(operator(None), "account.erased", ada.account_id))
        await stores.audit.forget(ada.account_id)
        await stores.tx.execute("DELETE FROM accounts WHERE id = $1", ada.account_id)
    async with world.transactions() as late:
        await late.audit.add(Entry(operator(None), "role.granted", ada.account_id, data={"role": "coach"}))
    await link(world)
    chain = await links(world)
    assert found(chain) == []
    assert chain[0].row.about == chain[2].row.about, "the erasure itself stands with the rest"
    assert chain[3].row.about not in {chain[0].row.about, ada.account_id}
    async with world.database.tx() as tx:
        kept = await tx.fetch("SELECT account_id FROM audit_pseudonyms")
    assert [row["account_id"] for row in kept] == [ben.account_id]


# -- who may change it ------------------------------------------------------------------------------------------------

REFUSED = (
    "UPDATE audit_log SET reason = 'x'",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
    "UPDATE audit_checkpoints SET position = 0",
    "DELETE FROM audit_checkpoints",
    "TRUNCATE audit_checkpoints",
    "UPDATE audit_waiting SET reason = 'x'",
    "TRUNCATE audit_waiting",
    "DELETE FROM audit_waiting",
)


@pytest.mark.parametrize("statement", REFUSED)
@pytest.mark.parametrize("mode", ["origin", "replica"])
async def test_the_database_refuses_every_change_even_to_a_superuser(world: World, statement: str, mode: str) -> None:
    """Reliability, 3.3: append-only; `replica` is the mode in which other triggers are left out."""
    await chained(world, 2)
    await add(world, "waits")
    connection = await superuser(world)
    try:
        await connection.execute(f"SET session_replication_role = {mode}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="the audit only grows"):
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("statement", REFUSED)
async def test_the_role_that_the_program_has_may_not_even_try(world: World, statement: str) -> None:
    """ASVS 16.4.2: logs are protected from unauthorised change. It owns the tables and was not granted this."""
    await chained(world, 2)
    await add(world, "waits")
    denied = "the audit only grows" if statement == "DELETE FROM audit_waiting" else "permission denied"
    async with world.database.connection() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match=denied):
            await connection.execute(statement)


# -- evil that got past all of that -----------------------------------------------------------------------------------


async def test_an_untouched_chain_is_whole(world: World) -> None:
    assert found(await chained(world, 5)) == []


async def test_a_row_that_a_superuser_altered_is_found(world: World) -> None:
    await chained(world, 5)
    await evil(world, "UPDATE audit_log SET reason = 'something else' WHERE position = 3")
    assert found(await links(world)) == [("altered", 3)]


async def test_a_row_that_a_superuser_deleted_is_found(world: World) -> None:
    await chained(world, 5)
    await evil(world, "DELETE FROM audit_log WHERE position = 2")
    assert found(await links(world)) == [("deleted", 2)]


async def test_rows_that_a_superuser_reordered_are_found(world: World) -> None:
    await chained(world, 5)
    await evil(
        world,
        "UPDATE audit_log SET position = 99 WHERE position = 2",
        "UPDATE audit_log SET position = 2 WHERE position = 3",
        "UPDATE audit_log SET position = 3 WHERE position = 99",
    )
    assert found(await links(world)) == [("reordered", 2), ("reordered", 3), ("reordered", 4)]


async def test_a_tail_that_a_superuser_took_off_is_found_by_a_checkpoint(world: World) -> None:
    chain = await chained(world, 5)
    seen = made(5, chain[4].hash, 0, KEY.public_key().public_bytes_raw(), KEY.sign)
    await evil(world, "DELETE FROM audit_log WHERE position > 3")
    await add(world, "life goes on")
    await link(world)
    assert found(await links(world), seen) == [("truncated", 5)]


async def test_a_chain_that_a_superuser_wrote_anew_is_found_by_a_checkpoint(world: World) -> None:
    chain = await chained(world, 3)
    seen = made(3, chain[2].hash, 0, KEY.public_key().public_bytes_raw(), KEY.sign)
    await evil(world, "DELETE FROM audit_log")
    forged = await chained(world, 3)
    assert found(forged) == []
    assert found(forged, seen) == [("forked", 3)]


async def test_a_second_row_behind_the_same_hash_is_refused(world: World) -> None:
    chain = await chained(world, 2)
    async with world.database.tx() as tx:
        with pytest.raises(asyncpg.UniqueViolationError):
            await tx.execute(
                """
                INSERT INTO audit_log SELECT 3, gen_random_uuid(), at, actor_kind, actor, login_id, app_id, name, network, act,
                                             about, thing_kind, thing, reason, data, $1, sha256('fork')
                FROM audit_log WHERE position = 1
                """,
                chain[1].previous,
            )
