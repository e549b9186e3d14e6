"""The SQL of what people chose to hear, and of where they can be reached.

Without a row the defaults hold, so nobody has to be given one. Addresses that a provider says are dead stay for a while
with the reason, for whoever asks why nothing came; they are used no more.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from persistence.database import Tx
from persistence.phones import NUMBER, NUMBER_INDEX
from persistence.sealing import Sealing
from services.kernel.clock import to_wall_ms
from services.kernel.ids import AccountId, DeviceId, LoginId
from services.notifications.addresses import NewDevice, PushDevice
from services.notifications.deciding import Person
from services.notifications.ports import Reader
from services.notifications.preferences import DEFAULT, DigestTime, Preferences, QuietHours

_DEVICE: Final = "id, account_id, kind, address, p256dh, auth, name, created_at, seen_at, dead_at"


class NotificationSettings:
    """Preferences and addresses inside one transaction."""

    def __init__(self, tx: Tx, sealing: Sealing | None = None) -> None:
        self._tx: Final = tx
        self._sealing: Final = sealing or Sealing(tx)

    # -- preferences

    async def preferences(self, account_id: AccountId) -> Preferences:
        """What somebody has chosen; the defaults when that is nothing."""
        row = await self._tx.fetchrow(
            """
            SELECT settings.*, (
                SELECT jsonb_object_agg(topic, ways) FROM (
                    SELECT topic, jsonb_object_agg(channel, way) AS ways
                    FROM notification_preferences WHERE account_id = $1
                    GROUP BY topic
                ) AS topics
            ) AS chosen
            FROM notification_settings AS settings
            WHERE account_id = $1
            """,
            account_id,
        )
        return Preferences() if row is None else preferences_of(row, row["chosen"])

    async def save_preferences(self, account_id: AccountId, preferences: Preferences, at: datetime) -> bool:
        """Store them with the next revision, if `preferences.revision` is the stored one; False when it is not.

        The row is the lock: of two who store at once, the second one finds the other's revision.
        """
        quiet = preferences.quiet_hours
        saved = await self._tx.fetchval(
            """
            INSERT INTO notification_settings AS settings
                (account_id, locale, time_zone, quiet_begins, quiet_until, digest_hour, digest_weekday, revision, changed_at)
            SELECT $1, $2, $3, $4, $5, $6, $7, 1, $9
            WHERE $8 = 0 OR EXISTS (SELECT FROM notification_settings WHERE account_id = $1)
            ON CONFLICT (account_id) DO UPDATE SET
                locale = excluded.locale,
                time_zone = excluded.time_zone,
                quiet_begins = excluded.quiet_begins,
                quiet_until = excluded.quiet_until,
                digest_hour = excluded.digest_hour,
                digest_weekday = excluded.digest_weekday,
                revision = settings.revision + 1,
                changed_at = excluded.changed_at
            WHERE settings.revision = $8
            RETURNING revision
            """,
            account_id,
            preferences.locale,
            preferences.time_zone,
            None if quiet is None else quiet.begins,
            None if quiet is None else quiet.until,
            preferences.digest.hour,
            preferences.digest.weekday,
            preferences.revision,
            at,
        )
        if saved is None:
            return False
        rows = [
            (topic, channel, way) for topic, channels in preferences.chosen.items() for channel, way in channels.items()
        ]
        await self._tx.execute("DELETE FROM notification_preferences WHERE account_id = $1", account_id)
        await self._tx.execute(
            """
            INSERT INTO notification_preferences (account_id, topic, channel, way)
            SELECT $1, topic, channel, way FROM unnest($2::text[], $3::text[], $4::text[]) AS new (topic, channel, way)
            """,
            account_id,
            [topic for topic, _, _ in rows],
            [channel for _, channel, _ in rows],
            [way for _, _, way in rows],
        )
        return True

    async def people(self, account_ids: Sequence[AccountId], topic: str) -> list[Person]:
        """What is needed to decide where a notification of this topic goes, for those of these accounts that exist.

        Of what they chose only this topic is read. An address under .invalid is nobody's by definition (RFC 2606).
        """
        rows = await self._tx.fetch(
            """
            SELECT accounts.id AS account_id, chosen.ways, living.ids, living.kinds,
                   settings.locale, settings.time_zone, settings.quiet_begins, settings.quiet_until,
                   settings.digest_hour, settings.digest_weekday, settings.revision,
                   accounts.email NOT LIKE '%.invalid' AND accounts.email IS DISTINCT FROM settings.dead_email AS has_email,
                   EXISTS (
                       SELECT FROM phones
                       WHERE account_id = accounts.id AND verified_at IS NOT NULL AND dead_at IS NULL
                   ) AS has_phone
            FROM accounts
            LEFT JOIN notification_settings AS settings ON settings.account_id = accounts.id
            LEFT JOIN LATERAL (
                SELECT jsonb_object_agg(channel, way) AS ways FROM notification_preferences
                WHERE account_id = accounts.id AND topic = $2
            ) AS chosen ON true
            LEFT JOIN LATERAL (
                SELECT array_agg(id) AS ids, array_agg(kind) AS kinds FROM devices
                WHERE account_id = accounts.id AND dead_at IS NULL
            ) AS living ON true
            WHERE accounts.id = ANY($1::uuid[])
            """,
            account_ids,
            topic,
        )
        return [_person(row, topic) for row in rows]

    async def readers(self, account_ids: Sequence[AccountId]) -> dict[AccountId, Reader]:
        """Whom words are made for, of those of these accounts that exist."""
        rows = await self._tx.fetch(
            """
            SELECT accounts.id, accounts.name, coalesce(locale, $2) AS locale, coalesce(time_zone, $3) AS time_zone
            FROM accounts LEFT JOIN notification_settings AS settings ON settings.account_id = accounts.id
            WHERE accounts.id = ANY($1::uuid[])
            """,
            account_ids,
            DEFAULT.locale,
            DEFAULT.time_zone,
        )
        return {AccountId(row["id"]): Reader(row["name"], row["locale"], row["time_zone"]) for row in rows}

    # -- devices

    async def add_device(
        self, device_id: DeviceId, account_id: AccountId, login_id: LoginId, device: NewDevice, at: datetime
    ) -> PushDevice:
        """Store or renew a device by its address; it belongs to this account and login from now on, and lives.

        What was on its way to the same device for somebody else is not for this person's eyes.
        """
        row = await self._tx.fetchrow(
            f"""
            INSERT INTO devices (id, account_id, login_id, kind, address, p256dh, auth, name, created_at, seen_at)
            VALUES ($1, $2, $9, $3, $4, $5, $6, $7, $8, $8)
            ON CONFLICT (address, kind) DO UPDATE SET
                account_id = excluded.account_id,
                login_id = excluded.login_id,
                p256dh = excluded.p256dh,
                auth = excluded.auth,
                name = excluded.name,
                seen_at = excluded.seen_at,
                dead_at = NULL,
                dead_reason = NULL
            RETURNING {_DEVICE}
            """,  # noqa: S608
            device_id,
            account_id,
            device.kind,
            device.address,
            device.p256dh,
            device.auth,
            device.name,
            at,
            login_id,
        )
        stored = _device(row)
        await self._tx.execute(
            """
            UPDATE deliveries SET state = 'suppressed', reason = 'the device has changed hands', changed_at = $3
            WHERE device_id = $1 AND account_id <> $2 AND state = 'waiting'
            """,
            stored.id,
            account_id,
            at,
        )
        return stored

    async def devices(self, account_id: AccountId) -> list[PushDevice]:
        """The living ones, last seen first."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_DEVICE} FROM devices
            WHERE account_id = $1 AND dead_at IS NULL
            ORDER BY seen_at DESC, id
            """,  # noqa: S608
            account_id,
        )
        return [_device(row) for row in rows]

    async def forget_device(self, account_id: AccountId, device_id: DeviceId) -> bool:
        """Forget a device; False when this account has none of this id."""
        status: str = await self._tx.execute(
            "DELETE FROM devices WHERE id = $1 AND account_id = $2", device_id, account_id
        )
        return status.endswith(" 1")

    async def forget_devices_of(self, login_id: LoginId) -> None:
        """Forget the devices that were told of under a login: it has ended, so they show nobody's messages."""
        await self._tx.execute("DELETE FROM devices WHERE login_id = $1", login_id)

    async def forget_oldest_devices(self, account_id: AccountId, keep: int) -> None:
        """Forget all but the `keep` living devices that were seen last, and those that are dead."""
        await self._tx.execute(
            """
            DELETE FROM devices
            WHERE account_id = $1 AND id NOT IN (
                SELECT id FROM devices
                WHERE account_id = $1 AND dead_at IS NULL
                ORDER BY seen_at DESC, id
                LIMIT $2
            )
            """,
            account_id,
            keep,
        )

    # -- dead addresses

    async def device_died(self, device_id: DeviceId, dead_since: datetime, reason: str, at: datetime) -> None:
        """Use this device no more, unless it has registered again since it was dead."""
        await self._tx.execute(
            "UPDATE devices SET dead_at = $4, dead_reason = $3 WHERE id = $1 AND seen_at <= $2 AND dead_at IS NULL",
            device_id,
            dead_since,
            reason,
            at,
        )

    async def email_died(self, account_id: AccountId, sent_to: str, reason: str, at: datetime) -> None:
        """Mail nothing to this address any more; another one of the account may be mailed."""
        await self._tx.execute(
            """
            INSERT INTO notification_settings (account_id, dead_email, dead_email_reason, changed_at)
            VALUES ($1, $2, $3, $4)
            ON CONFLICT (account_id) DO UPDATE SET dead_email = excluded.dead_email,
                                                   dead_email_reason = excluded.dead_email_reason
            """,
            account_id,
            sent_to,
            reason,
            at,
        )

    async def phone_died(self, account_id: AccountId, verified_before: datetime, reason: str, at: datetime) -> None:
        """Send nothing to this account's number any more, if it was verified before an instant: another one since then lives."""
        await self._tx.execute(
            """
            UPDATE phones SET dead_at = $4, dead_reason = $3
            WHERE account_id = $1 AND verified_at <= $2 AND dead_at IS NULL
            """,
            account_id,
            verified_before,
            reason,
            at,
        )

    # -- telephone

    async def set_phone(self, account_id: AccountId, number: str, verified_at: datetime | None) -> None:
        """The account's number, in place of another; nothing is sent to it until it is verified."""
        sealed = await self._sealing.seal(account_id, NUMBER, number.encode())
        await self._tx.execute(
            """
            INSERT INTO phones (account_id, number, verified_at, sealed, number_index) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (account_id) DO UPDATE SET
                number = excluded.number, sealed = excluded.sealed, number_index = excluded.number_index,
                verified_at = excluded.verified_at, dead_at = NULL, dead_reason = NULL
            """,
            account_id,
            number if sealed is None else None,
            verified_at,
            sealed,
            self._sealing.index(NUMBER_INDEX, number),
        )


def preferences_of(row: asyncpg.Record, chosen: str | None) -> Preferences:
    """Preferences from a row of notification_settings, and what was chosen, as JSON. What this program does not know any
    more, or not yet, counts as not chosen where it is used."""
    begins: int | None = row["quiet_begins"]
    return Preferences(
        locale=row["locale"],
        time_zone=row["time_zone"],
        quiet_hours=None if begins is None else QuietHours(begins=begins, until=row["quiet_until"]),
        digest=DigestTime(hour=row["digest_hour"], weekday=row["digest_weekday"]),
        chosen={} if chosen is None else msgspec.json.decode(chosen),
        revision=row["revision"],
    )


def _person(row: asyncpg.Record, topic: str) -> Person:
    ways: str | None = row["ways"]
    chosen = None if ways is None else f'{{"{topic}":{ways}}}'
    return Person(
        account_id=AccountId(row["account_id"]),
        preferences=Preferences() if row["locale"] is None else preferences_of(row, chosen),
        email=row["has_email"],
        devices=() if row["ids"] is None else tuple(zip(map(DeviceId, row["ids"]), row["kinds"], strict=True)),
        phone=row["has_phone"],
    )


def _device(row: asyncpg.Record) -> PushDevice:
    dead_at: datetime | None = row["dead_at"]
    return PushDevice(
        id=DeviceId(row["id"]),
        account_id=AccountId(row["account_id"]),
        kind=row["kind"],
        address=row["address"],
        p256dh=row["p256dh"],
        auth=row["auth"],
        name=row["name"],
        created_at_ms=to_wall_ms(row["created_at"]),
        seen_at_ms=to_wall_ms(row["seen_at"]),
        dead_at_ms=None if dead_at is None else to_wall_ms(dead_at),
    )
