"""What is about people's bodies lies sealed: written so, brought there by a pass, and kept readable under another key."""

import asyncio
from datetime import date
from functools import partial
from typing import Final

import pytest

from persistence.database import Database
from persistence.sealing import Sealing, data_key_of
from persistence.sealing_keys import WRAPPED
from persistence.sealing_passes import AGAIN, SEALED, SealingPasses
from persistence.stores import Stores, Transactions
from services.accounts.account import Profile
from services.fairplay.judging import Examined
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.ids import IncidentId
from services.kernel.sealing import CannotOpen, Seals
from services.privacy.vault import Vault
from services.safety.incident import Incident
from services.safety.ports import Chosen
from services.safety.watching import IncidentKind
from services.training.sample import Motion, Sample
from tests.support.task_buses import eventually
from tests.support.world import BODY, World

OLD, NEW = bytes(range(32)), bytes(32)
WHOLE: Final = Profile(birth_date=date(1990, 5, 17), sex="female", mass_kg=61.35, max_hr=188, rest_hr=47)
LIMIT: Final = 187
FOUND: Final[tuple[IncidentKind, int]] = ("over_limit", 199)
SKETCH: Final = (151, 152, 150)
SAMPLES: Final = [Sample(0, 151), Sample(1_000, None), Sample(2_000, 99, (600, 610), Motion(40, None, 170))]


@pytest.fixture
def world(database: Database) -> World:
    """An empty world; its stores seal."""
    return World(database)


def transactions(world: World, vault: Vault | None) -> Transactions:
    return Transactions(world.database, world.clock, world.ids, vault=vault)


async def somebody(world: World, name: str = "Ada") -> Caller:
    """Somebody of whom everything is known that is sealed."""
    caller = await world.account(name)
    await know(world, caller)
    return caller


async def know(world: World, caller: Caller) -> None:
    async with world.transactions() as stores:
        account = await stores.accounts.locked(caller.account_id)
        assert account is not None
        account = type(account)(account.id, account.email, account.name, account.roles, account.created_at_ms, WHOLE)
        await stores.accounts.save(account)
        await stores.safety.save_chosen(caller.account_id, Chosen(on=True, limit_bpm=LIMIT), world.clock.wall_ms())
    workout_id, _ = await world.workout(caller, SAMPLES)
    at = world.clock.wall_ms()
    async with world.transactions() as stores:
        incident = IncidentId(world.ids.next())
        await stores.safety.add(
            Incident(incident, caller.account_id, None, *FOUND, at, at, "prompted", revision=1, due_ms=at)
        )
        await stores.verdicts.keep(
            Examined(
                workout_id,
                caller.account_id,
                at,
                at,
                at,
                1,
                "strap",
                3,
                (),
                mean_bpm=151,
                fingerprint=None,
                sketch=SKETCH,
            )
        )


async def known(stores_of: Transactions, caller: Caller) -> tuple[object, ...]:
    async with stores_of() as stores:
        account = await stores.accounts.by_id(caller.account_id)
        chosen = await stores.safety.chosen(caller.account_id)
        (workout,) = await stores.workouts.of_account(caller.account_id, before=None, limit=2)
        samples = await stores.workouts.samples(workout.id, 0, 10)
        incident = await stores.safety.latest(caller.account_id)
        examined = await stores.verdicts.examined(workout.id)
    assert incident is not None
    assert examined is not None
    found = (incident.kind, incident.bpm)
    return (account and account.profile), chosen.limit_bpm, workout.physiology, samples, found, examined.sketch


EVERYTHING: Final = (WHOLE, LIMIT, BODY, SAMPLES, FOUND, SKETCH)


async def open_columns(world: World) -> int:
    """In how many rows something lies open that could be sealed."""
    async with world.database.tx() as tx:
        counts = [
            await tx.fetchval(
                f"SELECT count(*) FROM {sealed.field.table} WHERE num_nonnulls({', '.join(sealed.plain)}) > 0"
            )
            for sealed in SEALED
        ]
    return sum(counts)


async def test_what_is_written_is_sealed_and_comes_back(world: World) -> None:
    """ASVS 14.2.4: sensitive data is encrypted at rest."""
    ada = await somebody(world)
    assert await known(world.transactions, ada) == EVERYTHING
    assert await open_columns(world) == 0


async def test_whoever_has_said_nothing_has_no_key(world: World) -> None:
    await world.account()
    async with world.database.tx() as tx:
        assert await tx.fetchval("SELECT count(*) FROM data_keys") == 0


async def test_what_is_forgotten_is_forgotten(world: World) -> None:
    ada = await somebody(world)
    async with world.transactions() as stores:
        account = await stores.accounts.locked(ada.account_id)
        assert account is not None
        await stores.accounts.save(
            type(account)(account.id, account.email, account.name, account.roles, account.created_at_ms)
        )
        assert await stores.tx.fetchval("SELECT profile_sealed FROM accounts") is None


async def test_a_field_of_one_person_put_into_the_row_of_another_fails_with_its_place(world: World) -> None:
    """ASVS 11.3.3: swapped ciphertext is noticed."""
    ada, bob = await somebody(world), await somebody(world, "Bob")
    async with world.database.tx() as tx:
        await tx.execute(
            """
            UPDATE accounts SET profile_sealed = (SELECT other.profile_sealed FROM accounts AS other WHERE other.id = $2)
            WHERE id = $1
            """,
            ada.account_id,
            bob.account_id,
        )
    async with world.transactions() as stores:
        with pytest.raises(CannotOpen, match=r"accounts\.profile_sealed does not open: it was moved here"):
            await stores.accounts.by_id(ada.account_id)


async def test_a_sealed_column_put_into_another_column_fails(world: World) -> None:
    """ASVS 11.3.3: swapped ciphertext is noticed."""
    ada = await somebody(world)
    async with world.database.tx() as tx:
        await tx.execute("UPDATE accounts SET profile_sealed = (SELECT physiology_sealed FROM workouts)")
    async with world.transactions() as stores:
        with pytest.raises(CannotOpen, match="moved here"):
            await stores.accounts.by_id(ada.account_id)


async def test_without_the_key_of_the_account_nothing_opens_though_the_process_has_opened_it_before(
    world: World,
) -> None:
    """Crypto-erasure. ASVS 11.1.1."""
    ada = await somebody(world)
    assert await known(world.transactions, ada) == EVERYTHING
    async with world.transactions() as stores:
        await stores.sealing_keys.destroy(ada.account_id)
    async with world.transactions() as stores:
        with pytest.raises(CannotOpen, match="was destroyed"):
            await stores.accounts.by_id(ada.account_id)


@pytest.fixture
def before(database: Database, world: World) -> World:
    """The same world as a program sees it that knows no seals."""
    return World(database, world.clock, vault=None)


@pytest.fixture
async def old(before: World) -> list[Caller]:
    """People of whom an older program has written."""
    return [await somebody(before, f"Ada {n}") for n in range(5)]


async def seal(world: World, vault: Vault, bite: int, most: int = 1_000) -> int:
    """Let the job go on for so many transactions; how many it needed."""
    for n in range(most):
        async with transactions(world, vault)() as stores:
            if not await stores.sealing_passes.go_on(bite, utc(world.clock.wall_ms())):
                return n
    return most


VAULT: Final = Vault(Seals((OLD,)))


@pytest.mark.parametrize("bite", [1, 2, 5, 100])
async def test_what_was_written_plain_is_read_before_in_the_middle_and_after_it_is_sealed(
    world: World, old: list[Caller], bite: int
) -> None:
    sealing = transactions(world, VAULT)
    rows = await open_columns(world)
    assert rows >= 6 * len(old)
    await seal(world, VAULT, bite, most=3)
    for each in old:
        assert await known(sealing, each) == EVERYTHING
    await seal(world, VAULT, bite)
    assert await open_columns(world) == 0
    for each in old:
        assert await known(sealing, each) == EVERYTHING
    async with sealing() as stores:
        assert {(table, ended is not None) for table, _, ended in await stores.sealing_passes.all()} == {
            (sealed.field.table, True) for sealed in SEALED
        }
        assert sum(sealed for _, sealed, _ in await stores.sealing_passes.all()) == rows
        assert not await stores.sealing_passes.go_on(bite, utc(0))


async def test_a_bite_that_is_rolled_back_is_taken_again(world: World, old: list[Caller]) -> None:
    sealing = transactions(world, VAULT)
    await seal(world, VAULT, 2, most=1)
    async with sealing() as stores:
        assert await stores.tx.fetchval("SELECT count(*) FROM data_keys") == 2, "the keys come before what they seal"
    for _ in range(2):
        async with world.database.connection() as connection:
            killed = connection.transaction()
            await killed.start()
            assert await SealingPasses(connection, VAULT).go_on(2, utc(0)) == 2
            await killed.rollback()
    await seal(world, VAULT, 2)
    assert await open_columns(world) == 0
    assert await known(sealing, old[0]) == EVERYTHING


async def test_while_older_programs_run_everything_is_written_plain_and_all_is_sealed_afterwards(
    world: World, before: World, old: list[Caller]
) -> None:
    await seal(world, VAULT, 100)
    beside = Vault(Seals((OLD,)), seals=False)
    upgraded = World(world.database, world.clock, vault=beside)
    late = await before.account("Late")
    await know(upgraded, late)
    assert await known(before.transactions, late) == EVERYTHING
    assert await known(upgraded.transactions, old[0]) == EVERYTHING
    assert await seal(world, beside, 100) == 0
    await seal(world, VAULT, 100)
    assert await open_columns(world) == 0
    assert await known(transactions(world, VAULT), late) == EVERYTHING


async def test_what_a_node_writes_plain_until_it_is_started_anew_is_sealed_by_the_second_time(
    world: World, before: World, old: list[Caller]
) -> None:
    await seal(world, VAULT, 2)
    await know(before, await before.account("Late"))
    late = await open_columns(world)
    assert late > 0
    await world.clock.advance(AGAIN.total_seconds() - 1)
    assert await seal(world, VAULT, 2) == 0
    await world.clock.advance(1)
    await seal(world, VAULT, 2)
    assert await open_columns(world) == 0
    async with world.transactions() as stores:
        assert sum(sealed for _, sealed, _ in await stores.sealing_passes.all()) > late
    await world.clock.advance(2 * AGAIN.total_seconds())
    assert await seal(world, VAULT, 2) == 0, "twice is enough"


async def others_wait_for(stores: Stores) -> bool:
    """Whether somebody waits for what this transaction holds."""
    waiting: bool = await stores.tx.fetchval(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
    )
    return waiting


async def test_who_writes_while_a_pass_goes_on_waits_for_no_pass_that_waits_for_them(
    world: World, before: World
) -> None:
    """Whoever writes makes the key of the account, and then changes the row; so does the pass."""
    ada = await before.account()
    at = utc(world.clock.wall_ms())
    async with before.transactions() as stores:
        await stores.notification_settings.set_phone(ada.account_id, "+4915112345678", at)
    async with transactions(world, VAULT)() as writing:
        await Sealing(writing.tx, VAULT).key(ada.account_id)
        going_on = asyncio.create_task(seal(world, VAULT, 100))
        await eventually(partial(others_wait_for, writing))
        await writing.notification_settings.set_phone(ada.account_id, "+4915187654321", at)
    await asyncio.wait_for(going_on, 30)
    async with transactions(world, VAULT)() as stores:
        phone = await stores.phones.of(ada.account_id)
    assert phone is not None
    assert phone.number == "+4915187654321"
    assert await open_columns(world) == 0


async def test_another_key_of_the_installation_comes_in_bites_while_nodes_of_both_configurations_read(
    world: World,
) -> None:
    """ASVS 11.1.1: rotation without anything that stops."""
    people = [await somebody(world, f"Ada {n}") for n in range(5)]
    second_first = transactions(world, Vault(Seals((OLD, NEW))))
    first = Vault(Seals((NEW, OLD)))
    bites = 0
    while True:
        async with transactions(world, first)() as stores:
            if not await stores.sealing_keys.wrap_anew(2):
                break
        bites += 1
        for each in people:
            assert await known(second_first, each) == EVERYTHING
            assert await known(transactions(world, first), each) == EVERYTHING
    assert bites == 3
    async with transactions(world, first)() as stores:
        assert await stores.sealing_keys.counts() == {first.newest: 5}
    assert await known(transactions(world, Vault(Seals((NEW,)))), people[0]) == EVERYTHING
    with pytest.raises(CannotOpen, match="PACELINE_SEALING_KEYS"):
        await known(transactions(world, Vault(Seals((OLD,)))), people[0])


async def test_of_two_who_make_the_key_of_an_account_at_once_the_first_stays(world: World) -> None:
    ada = await world.account()
    async with world.transactions() as stores:
        await stores.safety.save_chosen(ada.account_id, Chosen(on=True, limit_bpm=LIMIT), 0)
    other = transactions(world, Vault(Seals((OLD,))))
    async with other() as stores:
        await stores.safety.save_chosen(ada.account_id, Chosen(on=True, limit_bpm=LIMIT + 1), 0)
    async with world.transactions() as stores:
        assert (await stores.safety.chosen(ada.account_id)).limit_bpm == LIMIT + 1
        assert await stores.tx.fetchval("SELECT count(*) FROM data_keys") == 1


async def test_every_column_that_is_called_sealed_is_kept_readable_under_another_key(database: Database) -> None:
    """ASVS 11.1.1: a new table with a secret in it does not fall out of the rotation."""
    async with database.connection() as connection:
        rows = await connection.fetch(
            """
            SELECT table_name, column_name FROM information_schema.columns
            WHERE table_schema = 'public' AND data_type = 'bytea' AND (column_name LIKE '%sealed' OR column_name = 'wrapped')
            """
        )
    there = {(row["table_name"], row["column_name"]) for row in rows}
    known = {tuple(sealed.field) for sealed in SEALED} | {(each.table, each.column) for each in WRAPPED}
    assert there == known - {("sign_ins", "code")}, (
        "add it to WRAPPED (persistence/sealing_keys.py) when it is sealed with PACELINE_SEALING_KEYS, "
        "to SEALED (persistence/sealing_passes.py) when with the key of an account"
    )


def test_the_key_of_an_account_is_asked_for_by_the_column_of_its_table() -> None:
    assert "= streams.account_id" in data_key_of("streams.account_id")
    with pytest.raises(ValueError, match="say of which table account_id is"):
        data_key_of("account_id")


async def test_old_samples_are_sealed_though_their_stream_goes_on(world: World, before: World) -> None:
    ada = await before.account()
    workout_id, stream_id = await before.workout(ada, SAMPLES)
    await world.write(stream_id, len(SAMPLES), SAMPLES)
    await seal(world, VAULT, 1)
    async with world.transactions() as stores:
        assert await stores.workouts.samples(workout_id, 0, 10) == SAMPLES * 2
        rows = await stores.tx.fetch("SELECT sealed, t FROM sample_batches ORDER BY first_seq")
    assert [(row["sealed"] is not None, row["t"]) for row in rows] == [(True, None)] * 2


async def test_a_process_with_other_keys_than_the_installation_is_refused_before_it_does_anything(world: World) -> None:
    first, both, other = (Vault(Seals(keys)) for keys in ((OLD,), (NEW, OLD), (NEW,)))
    for vault in (first, first, both):
        async with transactions(world, vault)() as stores:
            await stores.sealing_keys.agree()
    with pytest.raises(CannotOpen, match="run-several-nodes"):
        async with transactions(world, other)() as stores:
            await stores.sealing_keys.agree()
    async with transactions(world, both)() as stores:
        while await stores.sealing_keys.wrap_anew(10):
            pass
    async with transactions(world, other)() as stores:
        await stores.sealing_keys.agree()
    with pytest.raises(CannotOpen):
        async with transactions(world, first)() as stores:
            await stores.sealing_keys.agree()
