"""Who has a place in a class, and who waits for one.

Places are given and taken under the lock of the offer (persistence/offers.py, `lock`): what is counted there is what holds when the
transaction commits. Two unique constraints stand behind it: one standing booking of a person in a class, one booking of a number.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.classes.booking import Booked, Booking, RosterLine, Taken
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, BookingId, ClassId, OrganisationId

_COLUMNS: Final = """
    bookings.id, bookings.class_id, bookings.account_id, bookings.n, bookings.state, bookings.booked_at, bookings.promoted_at,
    bookings.cancelled_at, bookings.cancelled_by
"""


class Bookings:
    """The bookings inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, booking: Booking, key: str) -> bool:
        """Store a new booking; False when its owner has one under this key. The offer must be locked."""
        status: str = await self._tx.execute(
            """
            INSERT INTO class_bookings (id, class_id, account_id, key, n, state, booked_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (account_id, key) DO NOTHING
            """,
            booking.id,
            booking.class_id,
            booking.account_id,
            key,
            booking.n,
            booking.state,
            utc(booking.booked_ms),
        )
        return status.endswith(" 1")

    async def save(self, booking: Booking) -> None:
        """What became of a booking. The offer must be locked."""
        await self._tx.execute(
            """
            UPDATE class_bookings SET state = $2, promoted_at = $3, cancelled_at = $4, cancelled_by = $5 WHERE id = $1
            """,
            booking.id,
            booking.state,
            _instant(booking.promoted_ms),
            _instant(booking.cancelled_ms),
            booking.cancelled_by,
        )

    async def by_id(self, booking_id: BookingId) -> Booking | None:
        """The booking, or None."""
        return _booking(
            await self._tx.fetchrow(f"SELECT {_COLUMNS} FROM class_bookings AS bookings WHERE id = $1", booking_id)  # noqa: S608
        )

    async def by_key(self, account_id: AccountId, key: str) -> Booking | None:
        """What somebody has booked under a key, or None."""
        return _booking(
            await self._tx.fetchrow(
                f"SELECT {_COLUMNS} FROM class_bookings AS bookings WHERE account_id = $1 AND key = $2",  # noqa: S608
                account_id,
                key,
            )
        )

    async def standing(self, class_id: ClassId, account_id: AccountId) -> Booking | None:
        """Somebody's booking for a class that is not cancelled, or None."""
        return _booking(
            await self._tx.fetchrow(
                f"""
                SELECT {_COLUMNS} FROM class_bookings AS bookings
                WHERE class_id = $1 AND account_id = $2 AND state <> 'cancelled'
                """,  # noqa: S608
                class_id,
                account_id,
            )
        )

    async def taken(self, class_id: ClassId) -> Taken:
        """How many have a place, and how many wait."""
        row = await self._tx.fetchrow(
            """
            SELECT
                (SELECT count(*) FROM class_bookings WHERE class_id = $1 AND state = 'confirmed') AS confirmed,
                (SELECT count(*) FROM class_bookings WHERE class_id = $1 AND state = 'waitlisted') AS waiting
            """,
            class_id,
        )
        return Taken(row["confirmed"], row["waiting"])

    async def next_number(self, class_id: ClassId) -> int:
        """The number of the next booking of a class. The offer must be locked."""
        n: int = await self._tx.fetchval(
            "SELECT coalesce(max(n), 0) + 1 FROM class_bookings WHERE class_id = $1", class_id
        )
        return n

    async def first_waiting(self, class_id: ClassId, limit: int) -> list[Booking]:
        """Those who wait for a place, the first ones first."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_COLUMNS} FROM class_bookings AS bookings
            WHERE class_id = $1 AND state = 'waitlisted'
            ORDER BY n
            LIMIT $2
            """,  # noqa: S608
            class_id,
            limit,
        )
        return [found for row in rows if (found := _booking(row)) is not None]

    async def for_members(
        self, organisation_id: OrganisationId, accounts: Collection[AccountId], at: datetime
    ) -> list[tuple[ClassId, AccountId]]:
        """Who of these has a booking that stands in a class for members of this organisation only, which has not ended at `at`."""
        rows = await self._tx.fetch(
            """
            SELECT bookings.class_id, bookings.account_id
            FROM class_bookings AS bookings JOIN class_offers AS offers ON offers.id = bookings.class_id
            WHERE bookings.account_id = ANY ($2) AND bookings.state <> 'cancelled'
                AND offers.terms ->> 'organisation' = $1::text AND offers.terms ->> 'members' = 'only'
                AND offers.starts_at + make_interval(mins => (offers.terms ->> 'duration_min')::integer) > $3
            ORDER BY bookings.class_id, bookings.n
            """,
            str(organisation_id),
            list(accounts),
            at,
        )
        return [(ClassId(row["class_id"]), AccountId(row["account_id"])) for row in rows]

    async def call_off(self, class_id: ClassId, at: datetime) -> int:
        """Cancel all that stand, because the class does not take place; how many they were. The offer must be locked."""
        status: str = await self._tx.execute(
            """
            UPDATE class_bookings SET state = 'cancelled', cancelled_at = $2, cancelled_by = 'called_off'
            WHERE class_id = $1 AND state <> 'cancelled'
            """,
            class_id,
            at,
        )
        return int(status.split()[-1])

    # -- for people ---------------------------------------------------------------------------------------------------

    async def booked(self, booking_id: BookingId) -> Booked | None:
        """One booking with what is known of its class, or None."""
        found = await self._booked("bookings.id = $1", booking_id)
        return found[0] if found else None

    async def of_account(
        self, account_id: AccountId, *, upcoming_at: datetime | None, before: BookingId | None, limit: int
    ) -> list[Booked]:
        """Somebody's bookings, the newest first, from behind `before` on; with `upcoming_at`, only those that stand and whose
        class has not ended by then."""
        return await self._booked(
            """
            bookings.account_id = $1 AND ($3::uuid IS NULL OR bookings.id < $3)
                AND ($2::timestamptz IS NULL OR bookings.state <> 'cancelled'
                     AND offers.starts_at + make_interval(mins => (offers.terms ->> 'duration_min')::integer) > $2)
            ORDER BY bookings.id DESC
            LIMIT $4
            """,
            account_id,
            upcoming_at,
            before,
            limit,
        )

    async def roster(self, class_id: ClassId, after: int, limit: int) -> list[RosterLine]:
        """Who has a place or waits, in the order of their numbers, from behind the number `after` on."""
        rows = await self._tx.fetch(
            """
            SELECT bookings.id AS booking, bookings.n, bookings.state, bookings.account_id, accounts.name
            FROM class_bookings AS bookings JOIN accounts ON accounts.id = bookings.account_id
            WHERE bookings.class_id = $1 AND bookings.n > $2 AND bookings.state <> 'cancelled'
            ORDER BY bookings.n
            LIMIT $3
            """,
            class_id,
            after,
            limit,
        )
        return [RosterLine(**row) for row in rows]

    async def confirmed_after(self, class_id: ClassId, after: AccountId | None, limit: int) -> list[AccountId]:
        """Who has a place, in the order of their ids, from behind `after` on: for whoever goes through them page by page."""
        rows = await self._tx.fetch(
            """
            SELECT account_id FROM class_bookings
            WHERE class_id = $1 AND state = 'confirmed' AND ($2::uuid IS NULL OR account_id > $2)
            ORDER BY account_id
            LIMIT $3
            """,
            class_id,
            after,
            limit,
        )
        return [AccountId(row["account_id"]) for row in rows]

    async def called_off_after(self, class_id: ClassId, after: AccountId | None, limit: int) -> list[AccountId]:
        """Whose booking was cancelled because the class does not take place, likewise."""
        rows = await self._tx.fetch(
            """
            SELECT account_id FROM class_bookings
            WHERE class_id = $1 AND cancelled_by = 'called_off' AND ($2::uuid IS NULL OR account_id > $2)
            ORDER BY account_id
            LIMIT $3
            """,
            class_id,
            after,
            limit,
        )
        return [AccountId(row["account_id"]) for row in rows]

    async def _booked(self, condition: str, *arguments: object) -> list[Booked]:
        rows = await self._tx.fetch(
            f"""
            SELECT {_COLUMNS}, offers.terms ->> 'title' AS title, coaches.name AS coach_name, offers.starts_at,
                (offers.terms ->> 'duration_min')::integer AS duration_min, classes.code,
                CASE WHEN bookings.state = 'waitlisted' THEN (
                    SELECT count(*) FROM class_bookings AS others
                    WHERE others.class_id = bookings.class_id AND others.state = 'waitlisted' AND others.n < bookings.n
                ) END AS ahead
            FROM class_bookings AS bookings
            JOIN class_offers AS offers ON offers.id = bookings.class_id
            JOIN accounts AS coaches ON coaches.id = offers.coach_id
            LEFT JOIN classes ON classes.id = bookings.class_id AND classes.ended_at IS NULL AND bookings.state = 'confirmed'
            WHERE {condition}
            """,  # noqa: S608
            *arguments,
        )
        return [
            Booked(
                booking=found,
                title=row["title"],
                coach_name=row["coach_name"],
                starts_ms=to_wall_ms(row["starts_at"]),
                duration_min=row["duration_min"],
                ahead=row["ahead"],
                code=row["code"],
            )
            for row in rows
            if (found := _booking(row)) is not None
        ]


def _instant(wall_ms: int | None) -> datetime | None:
    return None if wall_ms is None else utc(wall_ms)


def _booking(row: asyncpg.Record | None) -> Booking | None:
    if row is None:
        return None
    return Booking(
        id=BookingId(row["id"]),
        class_id=ClassId(row["class_id"]),
        account_id=AccountId(row["account_id"]),
        n=row["n"],
        state=row["state"],
        booked_ms=to_wall_ms(row["booked_at"]),
        promoted_ms=None if row["promoted_at"] is None else to_wall_ms(row["promoted_at"]),
        cancelled_ms=None if row["cancelled_at"] is None else to_wall_ms(row["cancelled_at"]),
        cancelled_by=row["cancelled_by"],
    )
