"""A place in a class: one each, in the order of arrival, and no queue for those who have theirs."""

import asyncio
import uuid
from datetime import UTC, datetime

import pytest

from persistence.classes import Classes
from persistence.database import Database, Tx
from persistence.stores import Stores
from rooms import seating
from rooms.seating import seat
from services.classes.live_class import LiveClass, Role, role_after
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, ClassId, Uuid7Ids
from services.kernel.problems import ClassFull

NOW = datetime(2026, 11, 20, tzinfo=UTC)
CLOCK = ManualClock()
LIVE = LiveClass(ClassId(uuid.UUID(int=9)), "ABC234", "Ride", AccountId(uuid.UUID(int=1)), "A", 1_000)


def person(n: int) -> AccountId:
    return AccountId(uuid.UUID(int=n))


@pytest.fixture
async def halls(database: Database) -> Database:
    """A class and five accounts, the first of them its coach."""
    async with database.tx() as tx:
        for n in range(1, 6):
            await tx.execute(
                """
                INSERT INTO accounts (id, email, name, password_hash, roles, created_at)
                VALUES ($1, $2, 'A', '', '{member}', $3)
                """,
                person(n),
                f"{n}@example.org",
                NOW,
            )
        await Classes(tx).create(LIVE)
    return database


async def seated(database: Database, n: int, role: Role = "athlete") -> tuple[int, Role]:
    async with database.tx() as tx:
        made = await seat(Stores(tx, CLOCK, Uuid7Ids(CLOCK)), LIVE, person(n), role, NOW)
    return made.n, made.role


async def locked(tx: Tx) -> None:
    await Classes(tx).lock(LIVE.id)


async def test_newcomers_at_once_get_numbers_of_their_own(halls: Database) -> None:
    numbers = await asyncio.gather(*(seated(halls, n) for n in (2, 3, 4, 5)))
    assert sorted(n for n, _ in numbers) == [1, 2, 3, 4]


async def test_who_comes_back_waits_for_nobody(halls: Database) -> None:
    first = await seated(halls, 2)
    async with halls.tx() as other:
        await locked(other)
        async with asyncio.timeout(5):
            assert await seated(halls, 2) == first
        newcomer = asyncio.ensure_future(seated(halls, 3))
        done, _ = await asyncio.wait({newcomer}, timeout=0.2)
        assert not done, "a newcomer takes a number, and numbers are handed out under the lock"
    assert await newcomer == (2, "athlete")


async def test_a_full_class_has_a_place_for_those_who_are_in_it(
    halls: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seating, "MAX_MEMBERS", 1)
    assert await seated(halls, 2, "spectator") == (1, "spectator")
    assert await seated(halls, 2, "athlete") == (1, "athlete")
    with pytest.raises(ClassFull):
        await seated(halls, 3)


@pytest.mark.parametrize(
    ("was", "asked", "is_now"),
    [
        ("spectator", "athlete", "athlete"),
        ("athlete", "spectator", "athlete"),
        ("athlete", "athlete", "athlete"),
        ("athlete", "coach", "coach"),
        ("coach", "spectator", "spectator"),
    ],
)
async def test_a_role_is_kept_up_to_date_but_an_athlete_stays_one(
    halls: Database, was: Role, asked: Role, is_now: Role
) -> None:
    assert role_after(was, asked) == is_now
    assert await seated(halls, 2, was) == (1, was)
    assert await seated(halls, 2, asked) == (1, is_now)
    assert await seated(halls, 2, is_now) == (1, is_now)
