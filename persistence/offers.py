"""Classes that can be booked, and the series they come of.

The row of an offer is the lock of its bookings (persistence/bookings.py): whoever gives or takes places holds it.
"""

from datetime import date, datetime
from typing import Final

import asyncpg
import msgspec

from persistence.class_terms import stored
from persistence.database import Tx
from services.classes.offer import Asked, Offer, Offered, OfferQuery, Terms
from services.classes.series import Series, Weekly
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, BookingId, ClassId, SeriesId

_COLUMNS: Final = """
    offers.id, offers.coach_id, coaches.name AS coach_name, offers.starts_at, offers.terms, offers.created_at, offers.series_id,
    offers.called_off_at, organisations.name AS organisation_name
"""
_FROM: Final = """
    class_offers AS offers JOIN accounts AS coaches ON coaches.id = offers.coach_id
    LEFT JOIN organisations ON organisations.id = (offers.terms ->> 'organisation')::uuid
        AND organisations.dissolved_at IS NULL
"""
_SERIES: Final = """
    series.id, series.coach_id, coaches.name AS coach_name, series.rule, series.terms, series.created_at, series.made_through,
    series.ended_at
"""
_FROM_SERIES: Final = "class_series AS series JOIN accounts AS coaches ON coaches.id = series.coach_id"
_terms: Final = msgspec.json.Decoder(Terms)
_rule: Final = msgspec.json.Decoder(Weekly)


class Offers:
    """The offers and series inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    # -- offers -------------------------------------------------------------------------------------------------------

    async def add(self, offer: Offer, key: str) -> bool:
        """Store a new offer; False when its coach has one under this key."""
        status: str = await self._tx.execute(
            """
            INSERT INTO class_offers (id, coach_id, key, series_id, starts_at, terms, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (coach_id, key) DO NOTHING
            """,
            offer.id,
            offer.coach_id,
            key,
            offer.series_id,
            utc(offer.starts_ms),
            stored(offer.terms),
            utc(offer.created_ms),
        )
        return status.endswith(" 1")

    async def by_id(self, class_id: ClassId) -> Offer | None:
        """The offer, or None."""
        row = await self._tx.fetchrow(f"SELECT {_COLUMNS} FROM {_FROM} WHERE offers.id = $1", class_id)  # noqa: S608
        return None if row is None else _offer(row)

    async def by_key(self, coach_id: AccountId, key: str) -> Offer | None:
        """What a coach has offered under a key, or None."""
        row = await self._tx.fetchrow(
            f"SELECT {_COLUMNS} FROM {_FROM} WHERE offers.coach_id = $1 AND offers.key = $2",  # noqa: S608
            coach_id,
            key,
        )
        return None if row is None else _offer(row)

    async def lock(self, class_id: ClassId) -> Offer | None:
        """The offer, its row locked until the transaction ends (FOR NO KEY UPDATE), or None."""
        await self._tx.execute("SELECT 1 FROM class_offers WHERE id = $1 FOR NO KEY UPDATE", class_id)
        return await self.by_id(class_id)

    async def change(self, class_id: ClassId, starts: datetime, terms: Terms) -> None:
        """Other terms, another start. The row must be locked."""
        await self._tx.execute(
            "UPDATE class_offers SET starts_at = $2, terms = $3 WHERE id = $1",
            class_id,
            starts,
            stored(terms),
        )

    async def call_off(self, class_id: ClassId, at: datetime) -> None:
        """It does not take place. The row must be locked."""
        await self._tx.execute(
            "UPDATE class_offers SET called_off_at = $2 WHERE id = $1 AND called_off_at IS NULL", class_id, at
        )

    async def page(self, query: OfferQuery, viewer: AccountId) -> list[Offered]:
        """Offers in the order of their starts, as somebody sees them. Those that were called off are left out, and those that are
        for members of an organisation only, of whom the viewer is none."""
        return await self._offered(
            """
            offers.called_off_at IS NULL
                AND offers.starts_at >= $2 AND ($3::timestamptz IS NULL OR offers.starts_at < $3)
                AND ($4::uuid IS NULL OR offers.coach_id = $4)
                AND ($5::uuid IS NULL OR offers.series_id = $5)
                AND ($6::text IS NULL OR offers.terms ->> 'level' = $6)
                AND ($7::text IS NULL OR offers.terms -> 'equipment' ? $7)
                AND ($11::text IS NULL OR offers.terms ->> 'organisation' = $11)
                AND (NOT $8 OR taken.waiting = 0 AND taken.confirmed < (offers.terms ->> 'capacity')::integer)
                AND ($9::uuid IS NULL OR (offers.starts_at, offers.id) > (
                    SELECT starts_at, id FROM class_offers WHERE id = $9
                ))
            ORDER BY offers.starts_at, offers.id
            LIMIT $10
            """,
            viewer,
            utc(query.from_ms),
            None if query.until_ms is None else utc(query.until_ms),
            query.coach,
            query.series,
            query.level,
            query.equipment,
            query.free,
            query.after,
            query.limit,
            None if query.organisation is None else str(query.organisation),
        )

    async def offered(self, class_id: ClassId, viewer: AccountId) -> Offered | None:
        """One offer as somebody sees it, or None; also where it is for others only."""
        found = await self._offered("offers.id = $2", viewer, class_id)
        return found[0] if found else None

    async def admission(self, class_id: ClassId, account_id: AccountId) -> tuple[Offer, Asked] | None:
        """The offer that a class comes of, and what is known of somebody who wants to be let in; None for a class that was never
        offered."""
        row = await self._tx.fetchrow(
            f"""
            SELECT {_COLUMNS},
                EXISTS (
                    SELECT FROM class_bookings WHERE class_id = $1 AND account_id = $2 AND state = 'confirmed'
                ) AS booked,
                EXISTS (SELECT FROM class_members WHERE class_id = $1 AND account_id = $2) AS member
            FROM {_FROM} WHERE offers.id = $1
            """,  # noqa: S608
            class_id,
            account_id,
        )
        return None if row is None else (_offer(row), Asked(booked=row["booked"], member=row["member"]))

    async def _offered(self, condition: str, *arguments: object) -> list[Offered]:
        rows = await self._tx.fetch(
            f"""
            SELECT {_COLUMNS}, taken.confirmed, taken.waiting, own.id AS booking_id, own.state AS booking_state,
                sits.account_id IS NOT NULL AS seated
            FROM {_FROM}
            CROSS JOIN LATERAL (
                SELECT
                    (SELECT count(*) FROM class_bookings WHERE class_id = offers.id AND state = 'confirmed') AS confirmed,
                    (SELECT count(*) FROM class_bookings WHERE class_id = offers.id AND state = 'waitlisted') AS waiting
            ) AS taken
            LEFT JOIN class_bookings AS own
                ON own.class_id = offers.id AND own.account_id = $1 AND own.state <> 'cancelled'
            LEFT JOIN organisation_members AS sits
                ON sits.organisation_id = (offers.terms ->> 'organisation')::uuid AND sits.account_id = $1
            WHERE (
                offers.terms ->> 'members' IS DISTINCT FROM 'only' OR sits.account_id IS NOT NULL
                OR offers.coach_id = $1 OR own.id IS NOT NULL
            ) AND {condition}
            """,  # noqa: S608
            *arguments,
        )
        return [
            Offered(
                offer=_offer(row),
                confirmed=row["confirmed"],
                waiting=row["waiting"],
                seated=row["seated"],
                booking=None if row["booking_id"] is None else BookingId(row["booking_id"]),
                booking_state=row["booking_state"],
            )
            for row in rows
        ]

    # -- series -------------------------------------------------------------------------------------------------------

    async def add_series(self, series: Series, key: str) -> bool:
        """Store a new series; False when its coach has one under this key."""
        status: str = await self._tx.execute(
            """
            INSERT INTO class_series (id, coach_id, key, rule, terms, created_at, made_through)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (coach_id, key) DO NOTHING
            """,
            series.id,
            series.coach_id,
            key,
            msgspec.json.encode(series.rule).decode(),
            stored(series.terms),
            utc(series.created_ms),
            series.made_through,
        )
        return status.endswith(" 1")

    async def series_by_key(self, coach_id: AccountId, key: str) -> Series | None:
        """The series that a coach has made under a key, or None."""
        row = await self._tx.fetchrow(
            f"SELECT {_SERIES} FROM {_FROM_SERIES} WHERE series.coach_id = $1 AND series.key = $2",  # noqa: S608
            coach_id,
            key,
        )
        return None if row is None else _one_series(row)

    async def lock_series(self, series_id: SeriesId) -> Series | None:
        """The series, its row locked until the transaction ends (FOR NO KEY UPDATE), or None."""
        row = await self._tx.fetchrow(
            f"SELECT {_SERIES} FROM {_FROM_SERIES} WHERE series.id = $1 FOR NO KEY UPDATE OF series",  # noqa: S608
            series_id,
        )
        return None if row is None else _one_series(row)

    async def series_of(self, coach_id: AccountId, before: SeriesId | None, limit: int) -> list[Series]:
        """A coach's series, newest first, from behind `before` on."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_SERIES} FROM {_FROM_SERIES}
            WHERE series.coach_id = $1 AND ($2::uuid IS NULL OR series.id < $2)
            ORDER BY series.id DESC
            LIMIT $3
            """,  # noqa: S608
            coach_id,
            before,
            limit,
        )
        return [_one_series(row) for row in rows]

    async def growing(self, through: date, limit: int) -> list[Series]:
        """Series whose classes are not offered up to a day yet, locked, skipping those somebody is at."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_SERIES} FROM {_FROM_SERIES}
            WHERE series.ended_at IS NULL AND series.made_through < $1
              AND ((series.rule ->> 'until_day') IS NULL OR (series.rule ->> 'until_day')::date > series.made_through)
            ORDER BY series.made_through
            LIMIT $2
            FOR NO KEY UPDATE OF series SKIP LOCKED
            """,  # noqa: S608
            through,
            limit,
        )
        return [_one_series(row) for row in rows]

    async def made(self, series_id: SeriesId, through: date) -> None:
        """Its classes are offered up to a day. The row must be locked."""
        await self._tx.execute("UPDATE class_series SET made_through = $2 WHERE id = $1", series_id, through)

    async def end_series(self, series_id: SeriesId, at: datetime) -> None:
        """No more classes of it. The row must be locked."""
        await self._tx.execute(
            "UPDATE class_series SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL", series_id, at
        )


def _offer(row: asyncpg.Record) -> Offer:
    return Offer(
        id=ClassId(row["id"]),
        coach_id=AccountId(row["coach_id"]),
        coach_name=row["coach_name"],
        starts_ms=to_wall_ms(row["starts_at"]),
        terms=_terms.decode(row["terms"]),
        created_ms=to_wall_ms(row["created_at"]),
        series_id=None if row["series_id"] is None else SeriesId(row["series_id"]),
        called_off_ms=None if row["called_off_at"] is None else to_wall_ms(row["called_off_at"]),
        organisation_name=row["organisation_name"],
    )


def _one_series(row: asyncpg.Record) -> Series:
    return Series(
        id=SeriesId(row["id"]),
        coach_id=AccountId(row["coach_id"]),
        coach_name=row["coach_name"],
        rule=_rule.decode(row["rule"]),
        terms=_terms.decode(row["terms"]),
        created_ms=to_wall_ms(row["created_at"]),
        made_through=row["made_through"],
        ended_ms=None if row["ended_at"] is None else to_wall_ms(row["ended_at"]),
    )
