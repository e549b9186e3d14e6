"""People who are told things that leave for their pockets, and what became of every message, by the database's own account.

What they are told is that a login of theirs was stolen: the one topic that leaves at once by mail, by push and, for who asks, by
SMS. Each time is a fact of its own, told in the transaction that ends a login, and led through the bus to an inbox and to one
delivery per address, as ever.
"""

import asyncio
import contextlib
import itertools
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from services.accounts.ports import Login
from services.kernel.clock import utc
from services.kernel.facts import LoginEnded
from services.kernel.ids import DeviceId, LoginId
from services.notifications.addresses import NewDevice, checked
from services.notifications.preferences import Preferences
from services.notifications.topics import LOGIN_ENDED
from tests.faults.people import Person
from tests.faults.works import Works

END: Final = frozenset({"sent", "delivered", "bounced", "failed", "in_doubt", "suppressed", "expired", "collapsed"})
"""States in which a delivery stays by itself."""


class Sent(msgspec.Struct, frozen=True):
    """A delivery as it is now. `made_s`, `changed_s`: since 1970; `changed_s - made_s` is how long it took to get to its state."""

    id: uuid.UUID
    account_id: uuid.UUID
    lane: str
    state: str
    attempts: int
    reason: str
    made_s: float
    changed_s: float

    @property
    def took_ms(self) -> float:
        """From being told to where it is."""
        return (self.changed_s - self.made_s) * 1_000


class Post:
    """Some people, what they were told, and what came of it."""

    def __init__(self, works: Works, people: Sequence[Person]) -> None:
        self.people: Final = tuple(people)
        self.told: Final[list[LoginId]] = []
        self.told_to: Final[list[uuid.UUID]] = []
        self._works: Final = works

    async def live_at(self, person: Person, device: NewDevice) -> None:
        """One more device that takes this person's pushes."""
        ids, now = self._works.ids, utc(self._works.clock.wall_ms())
        async with self._works.transactions() as stores:
            await stores.notification_settings.add_device(
                DeviceId(ids.next()), person.account_id, LoginId(ids.next()), checked(device), now
            )

    async def have_phones(self) -> None:
        """Everybody has a number, and wants to be told by SMS, too."""
        now = utc(self._works.clock.wall_ms())
        wants = Preferences(chosen={LOGIN_ENDED.name: {"sms": "now"}})
        async with self._works.transactions() as stores:
            for person in self.people:
                number = f"+4915{secrets.randbelow(10**9):09d}"
                await stores.notification_settings.set_phone(person.account_id, number, now)
                await stores.notification_settings.save_preferences(person.account_id, wants, now)

    @asynccontextmanager
    async def telling(self, per_s: float) -> AsyncIterator[None]:
        """Tell one after the other something, so many times a second, while inside."""
        turn = itertools.cycle(self.people)
        async with again_and_again(per_s, lambda: self.tell(next(turn))):
            yield

    async def tell(self, person: Person) -> None:
        """A login of this person was stolen, and has been ended."""
        login_id = LoginId(self._works.ids.next())
        now = utc(self._works.clock.wall_ms())
        async with self._works.transactions() as stores:
            await stores.logins.add(Login(login_id, person.account_id, "bench", now))
            await stores.logins.end(login_id, now, "stolen")
            fact = LoginEnded(account_id=person.account_id, login_id=login_id, reason="stolen", stolen=True)
            await stores.outbox.add(fact, login_id)
        self.told.append(login_id)
        self.told_to.append(person.account_id)

    # -- what became of it

    async def missing(self) -> list[str]:
        """The logins whose ends are not in an inbox, or there more than once."""
        async with self._works.database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT told.login_id
                FROM unnest($1::text[], $2::uuid[]) AS told (login_id, account_id)
                LEFT JOIN notifications n ON n.account_id = told.account_id AND n.content ->> 'login_id' = told.login_id
                GROUP BY told.login_id
                HAVING count(n.id) <> 1
                """,
                [str(login_id) for login_id in self.told],
                self.told_to,
            )
        return [row["login_id"] for row in rows]

    async def sent(self) -> list[Sent]:
        """Every delivery to these people, in the order in which they were made."""
        async with self._works.database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT id, account_id, lane, state, attempts, coalesce(reason, '') AS reason,
                       extract(epoch FROM made_at)::float AS made_s, extract(epoch FROM changed_at)::float AS changed_s
                FROM deliveries
                WHERE account_id = ANY($1::uuid[])
                ORDER BY made_at, id
                """,
                [person.account_id for person in self.people],
            )
        return [Sent(**row) for row in rows]

    async def sent_to(self, addresses: Collection[str]) -> list[Sent]:
        """The deliveries to devices that live at these addresses."""
        async with self._works.database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT deliveries.id
                FROM deliveries JOIN devices ON devices.id = device_id
                WHERE address = ANY($1::text[]) AND deliveries.account_id = ANY($2::uuid[])
                """,
                list(addresses),
                [person.account_id for person in self.people],
            )
        there = {row["id"] for row in rows}
        return [one for one in await self.sent() if one.id in there]

    async def ended(self) -> bool:
        """Whether everything that was told is in an inbox and nothing waits any more."""
        return not await self.missing() and all(one.state in END for one in await self.sent())

    async def forgotten(self) -> set[tuple[uuid.UUID, str]]:
        """The addresses that are used no more: whose, and in which lane."""
        async with self._works.database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT account_id, kind AS lane FROM devices WHERE dead_at IS NOT NULL AND account_id = ANY($1::uuid[])
                UNION ALL
                SELECT account_id, 'sms' FROM phones WHERE dead_at IS NOT NULL AND account_id = ANY($1::uuid[])
                UNION ALL
                SELECT account_id, 'email' FROM notification_settings
                WHERE dead_email IS NOT NULL AND account_id = ANY($1::uuid[])
                """,
                [person.account_id for person in self.people],
            )
        return {(row["account_id"], row["lane"]) for row in rows}

    async def move_away(self) -> None:
        """Forget all devices of these people: whoever lives there is gone when the case is."""
        async with self._works.database.connection() as connection:
            await connection.execute(
                "DELETE FROM devices WHERE account_id = ANY($1::uuid[])", [person.account_id for person in self.people]
            )


@asynccontextmanager
async def again_and_again(per_s: float, do: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do something so many times a second while inside. What was begun is done: nobody would know whether half of it was."""
    over = asyncio.Event()

    async def on() -> None:
        due = time.monotonic()
        while not over.is_set():
            await do()
            due = max(due + 1 / per_s, time.monotonic() - 1.0)  # what could not be done is not made up for
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await over.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(on(), name="again and again")
        try:
            yield
        finally:
            over.set()


def of_lane(sent: Collection[Sent], lane: str, *states: str) -> list[Sent]:
    """Those in this lane that are in one of these states, or in any."""
    return [one for one in sent if one.lane == lane and (not states or one.state in states)]


def p99(figures: Collection[float]) -> float:
    """Whole, and 0 for none."""
    ordered = sorted(figures)
    return float(round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))])) if ordered else 0.0
