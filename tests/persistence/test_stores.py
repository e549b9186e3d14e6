"""Transactions: who is told when one that told facts has committed."""

import pytest

from persistence.database import Database
from persistence.stores import Stores, Transactions
from services.kernel.clock import ManualClock
from services.kernel.facts import ClassEnded
from services.kernel.ids import ClassId, Uuid7Ids

CLOCK = ManualClock()
IDS = Uuid7Ids(CLOCK)


async def tell(stores: Stores) -> None:
    about = IDS.next()
    await stores.outbox.add(ClassEnded(ClassId(about)), about)


async def test_the_relay_is_called_after_the_commit_once_and_only_if_there_is_something_for_it(
    database: Database,
) -> None:
    calls: list[str] = []
    transactions = Transactions(database, CLOCK, IDS, told=lambda: calls.append("told"))
    async with transactions() as stores:
        await tell(stores)
        await tell(stores)
        assert calls == []
    assert calls == ["told"]
    async with transactions() as stores:
        await stores.outbox.peek(1)
    assert calls == ["told"]

    async def fail() -> None:
        async with transactions() as stores:
            await tell(stores)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert calls == ["told"]
