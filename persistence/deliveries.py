"""The SQL of what is on its way: each row is one notification to one address, and its own place in a queue.

A worker takes what is due in its lane (`claim`), in a transaction of its own that says `sending`, counts the attempt and
gives it a lease: `due_at` is the end of it. Then it calls the provider, and writes down the end (`finish`) if the row
still says what it had said. A row that says `sending` when its lease has run out belonged to a worker that died; `claim`
takes it, too, and says so.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, cast

import asyncpg
import structlog

from persistence.account_mails import AddressedMail, account_mails_of
from persistence.contact_letters import Letter, letters_of
from persistence.database import Tx
from persistence.lanes import wake
from persistence.notification_settings import preferences_of
from persistence.notifications import readable
from persistence.phones import CHECK_NUMBER, NUMBER
from persistence.sealing import Sealing, data_key_of
from services.kernel import trace
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, ContactPhoneId, DeliveryId, DeviceId, NotificationId
from services.kernel.sealing import CannotOpen
from services.notifications.delivery import NEXT, Lane, Outcome, State, Step
from services.notifications.hands import Room
from services.notifications.notification import Notification
from services.notifications.outgoing import Channel, Device
from services.notifications.phone import PhoneCheck
from services.notifications.ports import NewDelivery, Reported
from services.notifications.preferences import Preferences
from services.privacy.vault import Field

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Claimed:
    """A delivery that this worker has until its lease ends. `attempt` counts from 1, this one included. `abandoned`: another
    worker had begun the attempt before and never said how it ended. `receiver`: of a lane that is claimed by receivers. Without
    `account_id` it is a mail to an address that may have none."""

    id: DeliveryId
    account_id: AccountId | None
    notification_id: NotificationId | None
    channel: Channel
    device_id: DeviceId | None
    attempt: int
    expires_at_ms: int
    abandoned: bool
    traceparent: str
    receiver: str = ""


@dataclass(frozen=True)
class Check:
    """The check that a code is for. `over`: its code is good for nothing any more."""

    id: uuid.UUID
    number: str
    over: bool


@dataclass(frozen=True)
class Recipient:
    """Whom a claimed delivery is for, as of now. `address`: of mail or telephone, None when there is none that may be used;
    `device` for pushes. `chosen` in the preferences is of the notification's topic only. `readable`: False for a notification
    of a newer program than this one, and where a sealed number or address does not open. `check` for a code, whose `address` is the
    number that is to be proved. `letter` for an emergency contact, whose `address` it is then, not that of the account;
    `account_mail` likewise."""

    account_id: AccountId | None
    name: str
    preferences: Preferences
    address: str | None
    device: Device | None
    notification: Notification | None
    check: Check | None = None
    letter: Letter | None = None
    account_mail: AddressedMail | None = None
    readable: bool = True


@dataclass(frozen=True)
class Waiting:
    """What a lane looks like to operators: how many are due or being sent, and the age of the longest due in seconds."""

    lane: Lane
    due: int
    oldest_s: float


@dataclass(frozen=True)
class Seen:
    """A delivery as an operator sees it, without anybody's address."""

    id: DeliveryId
    account_id: AccountId | None
    topic: str
    channel: Channel
    lane: Lane
    state: State
    attempts: int
    provider: str
    provider_id: str
    reason: str
    changed_at: datetime


class _Numbers(NamedTuple):
    """The number that a code is to prove, and the one that was proved."""

    checked: str | None
    proved: str | None


class Deliveries:
    """The deliveries inside one transaction."""

    def __init__(self, tx: Tx, sealing: Sealing | None = None) -> None:
        self._tx: Final = tx
        self._sealing: Final = sealing or Sealing(tx)

    async def add(self, deliveries: Sequence[NewDelivery], at: datetime) -> None:
        """Store deliveries that wait; their lanes are woken when this transaction commits."""
        await self._tx.execute(
            """
            INSERT INTO deliveries
                (id, account_id, notification_id, channel, lane, urgent, device_id, due_at, expires_at, state, made_at,
                 changed_at, traceparent)
            SELECT *, 'waiting', $10, $10, $11 FROM unnest(
                $1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::boolean[], $7::uuid[], $8::timestamptz[],
                $9::timestamptz[]
            )
            """,
            [one.id for one in deliveries],
            [one.account_id for one in deliveries],
            [one.notification_id for one in deliveries],
            [one.planned.channel for one in deliveries],
            [one.planned.lane for one in deliveries],
            [one.urgent for one in deliveries],
            [one.planned.device_id for one in deliveries],
            [utc(one.planned.due_at_ms) for one in deliveries],
            [utc(one.expires_at_ms) for one in deliveries],
            at,
            trace.traceparent(),
        )
        for lane in sorted({one.planned.lane for one in deliveries}):
            await wake(self._tx, lane)

    async def add_code(self, delivery_id: DeliveryId, check: PhoneCheck, at: datetime) -> None:
        """The code of a check, to be sent now: somebody waits for it."""
        await self._tx.execute(
            """
            INSERT INTO deliveries
                (id, account_id, phone_check_id, channel, lane, urgent, state, due_at, made_at, changed_at, expires_at,
                 traceparent)
            VALUES ($1, $2, $3, 'sms', 'sms', true, 'waiting', $4, $4, $4, $5, $6)
            """,
            delivery_id,
            check.account_id,
            check.id,
            at,
            utc(check.expires_at_ms),
            trace.traceparent(),
        )
        await wake(self._tx, "sms")

    async def collapse(self, notification_ids: Sequence[NotificationId], at: datetime) -> None:
        """What waits of these notifications does not leave any more: something newer takes its place."""
        await self._tx.execute(
            """
            UPDATE deliveries SET state = 'collapsed', reason = 'something newer took its place', changed_at = $2
            WHERE notification_id = ANY($1::uuid[]) AND state = 'waiting'
            """,
            notification_ids,
            at,
        )

    # -- one attempt

    async def claim(
        self, lane: Lane, now: datetime, leased_until: datetime, limit: int, *, alarms_only: bool = False
    ) -> list[Claimed]:
        """Take up to `limit` due deliveries of a lane, the urgent first, then the longest due, skipping those others are at.
        `alarms_only`: nothing but what tells an emergency contact of an incident, and that it is over."""
        taken: list[Claimed] = []
        for urgent in (True, False):
            if len(taken) < limit:
                taken += await self._claim(lane, urgent, now, leased_until, limit - len(taken), alarms_only=alarms_only)
        return taken

    async def _claim(
        self, lane: Lane, urgent: bool, now: datetime, leased_until: datetime, limit: int, *, alarms_only: bool
    ) -> list[Claimed]:
        rows = await self._tx.fetch(
            """
            WITH due AS (
                SELECT id, state, due_at FROM deliveries
                WHERE lane = $1 AND urgent = $2 AND due_at <= $3 AND state IN ('waiting', 'sending')
                    AND (incident_id IS NOT NULL OR NOT $6)
                ORDER BY due_at
                LIMIT $5
                FOR NO KEY UPDATE SKIP LOCKED
            )
            UPDATE deliveries SET state = 'sending', attempts = attempts + 1, due_at = $4, changed_at = $3
            FROM due
            WHERE deliveries.id = due.id
            RETURNING deliveries.id, account_id, notification_id, channel, device_id, attempts, expires_at, traceparent,
                      due.state = 'sending' AS abandoned, due.due_at AS was_due
            """,
            lane,
            urgent,
            now,
            leased_until,
            limit,
            alarms_only,
        )
        return [_claimed(row) for row in sorted(rows, key=_since)]

    async def claim_apart(
        self, lane: Lane, now: datetime, leased_until: datetime, limit: int, rooms: Sequence[Room]
    ) -> list[Claimed]:
        """As `claim`, of a lane whose devices live at many receivers: for each room as many as it has. A receiver is the scheme and
        the host of an address in small letters. What a room has none for is not touched, however long it has been due."""
        taken: list[Claimed] = []
        for room in rooms:
            left = min(room.limit, limit - len(taken))
            for urgent in (True, False):
                if left and (room.other or any(room.known.values())):
                    claimed = await self._claim_room(lane, urgent, now, leased_until, room, left)
                    taken, left = taken + claimed, left - len(claimed)
                    for one in claimed:
                        room = room.without(one.receiver)
        return taken

    async def _claim_room(
        self, lane: Lane, urgent: bool, now: datetime, leased_until: datetime, room: Room, limit: int
    ) -> list[Claimed]:
        rows = await self._tx.fetch(
            """
            WITH known AS (
                SELECT * FROM unnest($5::text[], $6::int[]) AS known (receiver, room)
            ), locked AS (
                SELECT deliveries.id, deliveries.state, deliveries.due_at, receiver.name, coalesce(known.room, $7) AS room
                FROM deliveries
                LEFT JOIN devices ON devices.id = deliveries.device_id
                CROSS JOIN LATERAL (
                    SELECT coalesce(lower(substring(devices.address FROM '^[^/]+//[^/]+')), '') AS name
                ) AS receiver
                LEFT JOIN known ON known.receiver = receiver.name
                WHERE deliveries.lane = $1 AND urgent = $2 AND due_at <= $3 AND state IN ('waiting', 'sending')
                  AND coalesce(known.room, $7) > 0
                ORDER BY due_at
                LIMIT $8
                FOR NO KEY UPDATE OF deliveries SKIP LOCKED
            ), in_line AS (
                SELECT *, row_number() OVER (PARTITION BY name ORDER BY due_at, id) AS nth FROM locked
            )
            UPDATE deliveries SET state = 'sending', attempts = attempts + 1, due_at = $4, changed_at = $3
            FROM in_line AS due
            WHERE deliveries.id = due.id AND due.nth <= due.room
            RETURNING deliveries.id, account_id, notification_id, channel, device_id, attempts, expires_at, traceparent,
                      due.state = 'sending' AS abandoned, due.name AS receiver, due.due_at AS was_due
            """,
            lane,
            urgent,
            now,
            leased_until,
            list(room.known),
            list(room.known.values()),
            room.other,
            limit,
        )
        return [_claimed(row) for row in sorted(rows, key=_since)]

    async def recipients(self, delivery_ids: Sequence[DeliveryId]) -> dict[DeliveryId, Recipient]:
        """Whom these deliveries are for, with what they say, as of now."""
        rows = await self._tx.fetch(
            f"""
            SELECT deliveries.id AS delivery_id, deliveries.channel, accounts.name, accounts.email,
                   deliveries.account_id AS owner,
                   settings.locale, settings.time_zone, settings.quiet_begins, settings.quiet_until,
                   settings.digest_hour, settings.digest_weekday, settings.revision,
                   accounts.email NOT LIKE '%.invalid' AND accounts.email IS DISTINCT FROM settings.dead_email AS mailable,
                   (
                       SELECT jsonb_object_agg(channel, way) FROM notification_preferences AS chosen
                       WHERE chosen.account_id = deliveries.account_id AND chosen.topic = notifications.topic
                   ) AS ways,
                   devices.kind, devices.address, devices.p256dh, devices.auth,
                   phones.number, phones.sealed AS number_sealed,
                   checks.id AS check_id, checks.number AS check_number, checks.sealed AS check_sealed, checks.ended,
                   {data_key_of("deliveries.account_id")} AS data_key,
                   deliveries.contact_id, deliveries.account_mail_id,
                   notifications.*
            FROM deliveries
            LEFT JOIN accounts ON accounts.id = deliveries.account_id
            LEFT JOIN notification_settings AS settings ON settings.account_id = deliveries.account_id
            LEFT JOIN notifications ON notifications.id = deliveries.notification_id
            LEFT JOIN devices ON devices.id = deliveries.device_id AND devices.dead_at IS NULL
                             AND devices.account_id = deliveries.account_id
            LEFT JOIN phone_checks AS checks ON checks.id = deliveries.phone_check_id
            LEFT JOIN phones ON deliveries.channel = 'sms' AND phones.account_id = deliveries.account_id
                            AND phones.verified_at IS NOT NULL AND phones.dead_at IS NULL
            WHERE deliveries.id = ANY($1::uuid[])
            """,  # noqa: S608 - names of columns
            delivery_ids,
        )
        to_contacts = [DeliveryId(row["delivery_id"]) for row in rows if row["contact_id"] is not None]
        letters = await letters_of(self._tx, self._sealing, to_contacts) if to_contacts else {}
        about_accounts = [DeliveryId(row["delivery_id"]) for row in rows if row["account_mail_id"] is not None]
        mails = await account_mails_of(self._tx, about_accounts) if about_accounts else {}
        return {
            delivery_id: _recipient(row, self._numbers(row), letters.get(delivery_id), mails.get(delivery_id))
            for row in rows
            for delivery_id in (DeliveryId(row["delivery_id"]),)
        }

    def _numbers(self, row: asyncpg.Record) -> _Numbers | None:
        def opened(field: Field, plain: str | None, sealed: bytes | None) -> str | None:
            if plain is None and sealed is None:
                return None
            return self._sealing.text(AccountId(row["owner"]), row["data_key"], field, plain, sealed)

        try:
            return _Numbers(
                opened(CHECK_NUMBER, row["check_number"], row["check_sealed"]),
                opened(NUMBER, row["number"], row["number_sealed"]),
            )
        except CannotOpen as problem:
            log.error("deliveries.number_unreadable", delivery=str(row["delivery_id"]), problem=str(problem))  # noqa: TRY400
            return None

    async def gathered(self, digest_id: DeliveryId) -> list[Notification]:
        """What a digest carries, oldest first."""
        rows = await self._tx.fetch(
            """
            SELECT notifications.* FROM deliveries JOIN notifications ON notifications.id = deliveries.notification_id
            WHERE deliveries.digest_id = $1
            ORDER BY notifications.told_at, notifications.id
            """,
            digest_id,
        )
        return [found for row in rows if (found := readable(row)) is not None]

    async def finish(self, delivery_id: DeliveryId, attempt: int, step: Step, now: datetime) -> bool:
        """Write down how an attempt ended; False when the row does not say any more that it is being made."""
        due_at = now + timedelta(seconds=step.pause_s)
        changed = await self._tx.fetchval(
            """
            UPDATE deliveries SET
                state = $3,
                attempts = attempts - CASE WHEN $4 THEN 0 ELSE 1 END,
                due_at = $5,
                changed_at = $6,
                provider = coalesce(nullif($7, ''), provider),
                provider_id = coalesce(nullif($8, ''), provider_id),
                reason = nullif($9, '')
            WHERE id = $1 AND state = 'sending' AND attempts = $2
            RETURNING id
            """,
            delivery_id,
            attempt,
            step.state,
            step.counted,
            due_at,
            now,
            step.provider,
            step.provider_id,
            step.reason,
        )
        return changed is not None

    async def stop(
        self, delivery_id: DeliveryId, attempt: int, state: Literal["suppressed", "expired"], reason: str, now: datetime
    ) -> None:
        """End a claimed delivery that is not to be sent at all; the attempt does not count."""
        await self._tx.execute(
            """
            UPDATE deliveries SET state = $3, attempts = attempts - 1, reason = $4, changed_at = $5
            WHERE id = $1 AND state = 'sending' AND attempts = $2
            """,
            delivery_id,
            attempt,
            state,
            reason,
            now,
        )

    # -- gathering

    async def to_gather(self, now: datetime, limit: int) -> list[AccountId]:
        """People for whom a digest is due, the longest due first."""
        rows = await self._tx.fetch(
            """
            SELECT account_id FROM (
                SELECT account_id, due_at FROM deliveries
                WHERE lane = 'digest' AND urgent = false AND state IN ('waiting', 'sending') AND due_at <= $1
                ORDER BY due_at
                LIMIT $2
            ) AS due
            GROUP BY account_id
            ORDER BY min(due_at), account_id
            """,
            now,
            limit,
        )
        return [AccountId(row["account_id"]) for row in rows]

    async def lock_gathered(self, account_id: AccountId, now: datetime) -> list[tuple[DeliveryId, datetime]]:
        """What is due to be gathered for somebody, with when, locked. Of two who ask at once, the second finds nothing."""
        rows = await self._tx.fetch(
            """
            SELECT id, due_at FROM deliveries
            WHERE account_id = $1 AND lane = 'digest' AND state = 'waiting' AND due_at <= $2
            ORDER BY id
            FOR NO KEY UPDATE
            """,
            account_id,
            now,
        )
        return [(DeliveryId(row["id"]), row["due_at"]) for row in rows]

    async def add_digest(
        self, account_id: AccountId, period: datetime, now: datetime, expires_at: datetime
    ) -> DeliveryId | None:
        """A digest of somebody for the period that ended at `period`, to be mailed now; None when there is one already.

        Its id is made from both, so there cannot be two.
        """
        digest_id = digest_id_of(account_id, period)
        added = await self._tx.fetchval(
            """
            INSERT INTO deliveries
                (id, account_id, period, channel, lane, urgent, state, due_at, made_at, changed_at, expires_at)
            VALUES ($1, $2, $3, 'email', 'email', false, 'waiting', $4, $4, $4, $5)
            ON CONFLICT (id) DO NOTHING
            RETURNING id
            """,
            digest_id,
            account_id,
            period,
            now,
            expires_at,
        )
        if added is None:
            return None
        await wake(self._tx, "email")
        return digest_id

    async def put_into(self, digest_id: DeliveryId, delivery_ids: Sequence[DeliveryId], now: datetime) -> None:
        """These leave with a digest."""
        await self._tx.execute(
            """
            UPDATE deliveries SET state = 'collapsed', digest_id = $1, reason = 'gathered', changed_at = $3
            WHERE id = ANY($2::uuid[]) AND state = 'waiting'
            """,
            digest_id,
            delivery_ids,
            now,
        )

    async def drop_gathered(
        self, delivery_id: DeliveryId, state: Literal["suppressed", "expired"], reason: str, now: datetime
    ) -> None:
        """One that waited to be gathered and is not wanted any more."""
        await self._tx.execute(
            "UPDATE deliveries SET state = $2, reason = $3, changed_at = $4 WHERE id = $1 AND state = 'waiting'",
            delivery_id,
            state,
            reason,
            now,
        )

    async def gather_anew(self, account_id: AccountId, due_at: datetime) -> None:
        """What waits to be gathered for this person is gathered at `due_at`, and lives a day longer than that."""
        await self._tx.execute(
            """
            UPDATE deliveries SET due_at = $2, expires_at = greatest(expires_at, $2::timestamptz + interval '1 day')
            WHERE account_id = $1 AND lane = 'digest' AND state = 'waiting'
            """,
            account_id,
            due_at,
        )

    # -- what providers and operators say

    async def record_outcome(
        self,
        provider: str,
        provider_id: str,
        outcome: Outcome,
        reason: str,
        at: datetime,
        message_id: uuid.UUID | None = None,
    ) -> Reported | None:
        """Note what a provider says of a message it had, known by the provider's name for it or by ours; None when it is not
        known, or nothing new. Callbacks come late, twice and out of order: what cannot follow the state that is there changes
        nothing."""
        before = [state for state, following in NEXT.items() if outcome in following]
        row = await self._tx.fetchrow(
            """
            UPDATE deliveries SET state = $3, reason = nullif($4, ''), changed_at = $5, provider = $1,
                                  provider_id = coalesce(provider_id, nullif($2, ''))
            WHERE id = (
                SELECT id FROM deliveries
                WHERE ((provider = $1 AND provider_id = $2) OR (id = $7::uuid AND coalesce(provider, $1) = $1))
                  AND state = ANY($6::text[])
                ORDER BY id = $7::uuid DESC NULLS LAST
                LIMIT 1
                FOR NO KEY UPDATE
            )
            RETURNING id, account_id, channel, made_at, phone_check_id IS NOT NULL AS of_check, contact_phone_id
            """,
            provider,
            provider_id,
            outcome,
            reason,
            at,
            before,
            message_id,
        )
        if row is None:
            return None
        return Reported(
            DeliveryId(row["id"]),
            AccountId(row["account_id"]),
            row["channel"],
            row["made_at"],
            row["of_check"],
            None if row["contact_phone_id"] is None else ContactPhoneId(row["contact_phone_id"]),
        )

    async def send_again(self, delivery_id: DeliveryId, now: datetime, expires_at: datetime) -> bool:
        """An operator sends what failed or is in doubt once more, with all its attempts; False for any other."""
        lane: str | None = await self._tx.fetchval(
            """
            UPDATE deliveries SET
                state = 'waiting', attempts = 0, due_at = $2, changed_at = $2, expires_at = greatest(expires_at, $3),
                reason = 'sent again by an operator'
            WHERE id = $1 AND state IN ('failed', 'in_doubt')
            RETURNING lane
            """,
            delivery_id,
            now,
            expires_at,
        )
        if lane is None:
            return False
        await wake(self._tx, cast(Lane, lane))
        return True

    async def waiting(self, now: datetime) -> list[Waiting]:
        """Each lane that has anything due."""
        rows = await self._tx.fetch(
            """
            SELECT lane, count(*) AS due, extract(epoch FROM $1 - min(due_at))::float AS oldest_s FROM deliveries
            WHERE state IN ('waiting', 'sending') AND due_at <= $1
            GROUP BY lane
            """,
            now,
        )
        return [Waiting(row["lane"], row["due"], max(row["oldest_s"], 0.0)) for row in rows]

    async def in_doubt(self, limit: int) -> list[Seen]:
        """What nobody knows the end of, the oldest first."""
        return [
            _seen(row)
            for row in await self._tx.fetch(
                """
                SELECT deliveries.*,
                       coalesce(
                           notifications.topic,
                           'contact_' || contact_says,
                           (SELECT 'account_' || says FROM account_mails WHERE account_mails.id = account_mail_id),
                           CASE WHEN period IS NULL THEN 'phone_code' ELSE 'digest' END
                       ) AS topic
                FROM deliveries LEFT JOIN notifications ON notifications.id = deliveries.notification_id
                WHERE state = 'in_doubt'
                ORDER BY changed_at
                LIMIT $1
                """,
                limit,
            )
        ]

    async def count_in_doubt(self) -> int:
        """How many those are."""
        count: int = await self._tx.fetchval("SELECT count(*) FROM deliveries WHERE state = 'in_doubt'")
        return count

    async def of_account(self, account_id: AccountId, limit: int) -> list[Seen]:
        """Somebody's deliveries, newest first: for whoever asks why nothing came."""
        return [
            _seen(row)
            for row in await self._tx.fetch(
                """
                SELECT deliveries.*,
                       coalesce(
                           notifications.topic,
                           'contact_' || contact_says,
                           (SELECT 'account_' || says FROM account_mails WHERE account_mails.id = account_mail_id),
                           CASE WHEN period IS NULL THEN 'phone_code' ELSE 'digest' END
                       ) AS topic
                FROM deliveries LEFT JOIN notifications ON notifications.id = deliveries.notification_id
                WHERE deliveries.account_id = $1
                ORDER BY deliveries.made_at DESC, deliveries.id DESC
                LIMIT $2
                """,
                account_id,
                limit,
            )
        ]

    async def prune_digests(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` digests that were made before an instant; how many they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM deliveries
            WHERE id IN (
                SELECT id FROM deliveries
                WHERE period < $1
                ORDER BY period
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            before,
            limit,
        )
        return int(status.split()[-1])


_DIGESTS: Final = uuid.UUID("5f8d6a52-5f0e-4d1c-9a37-0b8f3c1e7d44")


def digest_id_of(account_id: AccountId, period: datetime) -> DeliveryId:
    """The id of somebody's digest for a period: always the same one."""
    return DeliveryId(uuid.uuid5(_DIGESTS, f"{account_id} {to_wall_ms(period)}"))


def _since(row: asyncpg.Record) -> tuple[datetime, uuid.UUID]:
    """Since when it has been due, and of two at once which was made first: an UPDATE returns its rows in any order."""
    return row["was_due"], row["id"]


def _claimed(row: asyncpg.Record) -> Claimed:
    return Claimed(
        id=DeliveryId(row["id"]),
        account_id=None if row["account_id"] is None else AccountId(row["account_id"]),
        notification_id=None if row["notification_id"] is None else NotificationId(row["notification_id"]),
        channel=row["channel"],
        device_id=None if row["device_id"] is None else DeviceId(row["device_id"]),
        attempt=row["attempts"],
        expires_at_ms=to_wall_ms(row["expires_at"]),
        abandoned=row["abandoned"],
        traceparent=row["traceparent"],
        receiver=row.get("receiver", ""),
    )


def _recipient(
    row: asyncpg.Record, numbers: _Numbers | None, letter: Letter | None, mail: AddressedMail | None
) -> Recipient:
    opens = numbers is not None and (letter is None) == (row["contact_id"] is None)
    checked, proved = numbers or _Numbers(None, None)
    notification = None if row["topic"] is None else readable(row)
    preferences = Preferences()
    if row["locale"] is not None:
        ways: str | None = row["ways"]
        chosen = None if ways is None else f'{{"{row["topic"]}":{ways}}}'
        preferences = preferences_of(row, chosen)
    address = checked or proved
    if row["channel"] == "email":
        address = row["email"] if row["mailable"] else None
    if letter is not None:
        address = letter.address
    if mail is not None:
        address = mail.mail.email
    device = None
    if row["kind"] is not None:
        device = Device(row["kind"], row["address"], row["p256dh"], row["auth"])
    return Recipient(
        None if row["owner"] is None else AccountId(row["owner"]),
        row["name"] or "",
        preferences,
        address,
        device,
        notification,
        check=None if checked is None else Check(row["check_id"], checked, over=row["ended"] is not None),
        letter=letter,
        account_mail=mail,
        readable=opens and (notification is None) == (row["topic"] is None),
    )


def _seen(row: asyncpg.Record) -> Seen:
    return Seen(
        id=DeliveryId(row["id"]),
        account_id=None if row["account_id"] is None else AccountId(row["account_id"]),
        topic=row["topic"],
        channel=row["channel"],
        lane=row["lane"],
        state=row["state"],
        attempts=row["attempts"],
        provider=row["provider"] or "",
        provider_id=row["provider_id"] or "",
        reason=row["reason"] or "",
        changed_at=row["changed_at"],
    )
