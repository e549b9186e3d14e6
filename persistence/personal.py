"""What we have about one person, beyond the stores of each noun: for the person's own copy of it."""

from datetime import datetime
from typing import Final

import msgspec

from persistence.contact_phones import ContactPhones
from persistence.contacts import Contacts
from persistence.database import Tx
from persistence.safety import Safety
from services.kernel.clock import utc
from services.kernel.ids import AccountId, BookingId, ChallengeId, ClassId, IncidentId, LoginId
from services.safety.question import Question


class LoginLine(msgspec.Struct, frozen=True):
    """One device that was logged in."""

    id: LoginId
    device: str
    created_at: datetime
    ended_at: datetime | None
    end_reason: str | None


class MembershipLine(msgspec.Struct, frozen=True):
    """One class that somebody took part in or gave, and how it showed them to others."""

    class_id: ClassId
    title: str
    role: str
    joined_at: datetime
    class_ended_at: datetime | None
    display: str
    alias: str


class ChallengeLine(msgspec.Struct, frozen=True):
    """One challenge that somebody is or was in; `n` is what its log calls them, `value` in the unit of its kind."""

    challenge_id: ChallengeId
    title: str
    n: int
    zone: str
    joined_at: datetime
    left_at: datetime | None
    value: int


class BookingLine(msgspec.Struct, frozen=True):
    """One class that somebody has booked, whatever became of it."""

    id: BookingId
    class_id: ClassId
    title: str
    starts_at: datetime
    state: str
    booked_at: datetime
    promoted_at: datetime | None
    cancelled_at: datetime | None
    cancelled_by: str | None


class EntitlementLine(msgspec.Struct, frozen=True):
    """One time that somebody was entitled to something."""

    name: str
    source: str
    from_at: datetime
    until_at: datetime | None
    granted_at: datetime
    withdrawn_at: datetime | None


class BlockLine(msgspec.Struct, frozen=True):
    """Somebody whom one does not hear."""

    account_id: AccountId
    blocked_at: datetime


class FriendLine(msgspec.Struct, frozen=True):
    """A friend (`state` "friend"), or somebody whom one has asked ("asked"); `at` since then, or then. `called` is what one calls
    them in the request."""

    account_id: AccountId
    state: str
    at: datetime
    called: str | None


class IncidentLine(msgspec.Struct, frozen=True):
    """One time that somebody was asked whether they are all right, and what became of it."""

    id: IncidentId
    class_id: ClassId | None
    kind: str
    bpm: int
    opened_at: datetime
    state: str
    coach_told_at: datetime | None
    contact_told_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None


class ContactLine(msgspec.Struct, frozen=True):
    """One time that somebody was asked to be an emergency contact, and what they answered; `number` when they were asked there."""

    name: str
    email: str
    number: str | None
    asked_at: datetime
    agreed_at: datetime | None
    refused_at: datetime | None
    replaced_at: datetime | None


class Personal(msgspec.Struct, frozen=True):
    """The small things: each list is bounded, the newest first."""

    logins: list[LoginLine]
    memberships: list[MembershipLine]
    challenges: list[ChallengeLine]
    bookings: list[BookingLine]
    entitlements: list[EntitlementLine]
    blocks: list[BlockLine]
    friends: list[FriendLine]


MOST_LINES: Final = 20_000
"""Lines of one list: more than thirty years of a class every day, in twice."""


async def personal(tx: Tx, account_id: AccountId) -> Personal:
    """The logins, memberships, challenges, bookings, entitlements, blocks and friends of an account."""
    logins = await tx.fetch(
        """
        SELECT id, device, created_at, ended_at, end_reason FROM logins
        WHERE account_id = $1
        ORDER BY created_at DESC
        LIMIT $2
        """,
        account_id,
        MOST_LINES,
    )
    memberships = await tx.fetch(
        """
        SELECT classes.id AS class_id, classes.title, member.role, member.joined_at, classes.ended_at AS class_ended_at,
            member.showing_mode AS display, member.showing_alias AS alias
        FROM class_members AS member JOIN classes ON classes.id = member.class_id
        WHERE member.account_id = $1
        ORDER BY member.joined_at DESC
        LIMIT $2
        """,
        account_id,
        MOST_LINES,
    )
    challenges = await tx.fetch(
        """
        SELECT member.challenge_id, challenges.title, member.n, member.zone, member.joined_at, member.left_at, member.value
        FROM challenge_members AS member JOIN challenges ON challenges.id = member.challenge_id
        WHERE member.account_id = $1
        ORDER BY member.joined_at DESC
        LIMIT $2
        """,
        account_id,
        MOST_LINES,
    )
    bookings = await tx.fetch(
        """
        SELECT booking.id, booking.class_id, offer.terms ->> 'title' AS title, offer.starts_at, booking.state, booking.booked_at,
            booking.promoted_at, booking.cancelled_at, booking.cancelled_by
        FROM class_bookings AS booking JOIN class_offers AS offer ON offer.id = booking.class_id
        WHERE booking.account_id = $1
        ORDER BY booking.id DESC
        LIMIT $2
        """,
        account_id,
        MOST_LINES,
    )
    entitlements = await tx.fetch(
        """
        SELECT name, source, from_at, until_at, granted_at, withdrawn_at FROM entitlements
        WHERE account_id = $1
        ORDER BY id DESC
        LIMIT $2
        """,
        account_id,
        MOST_LINES,
    )
    blocks = await tx.fetch(
        """
        SELECT blocked_id AS account_id, blocked_at FROM blocks WHERE account_id = $1
        ORDER BY blocked_at DESC
        LIMIT $2
        """,
        account_id,
        MOST_LINES,
    )
    friends = await tx.fetch(
        """
        SELECT friend_id AS account_id, 'friend' AS state, since AS at, NULL AS called FROM friends WHERE account_id = $1
        UNION ALL
        SELECT asked_id, 'asked', asked_at, called FROM friend_requests WHERE asker_id = $1
        ORDER BY at DESC
        LIMIT $2
        """,
        account_id,
        MOST_LINES,
    )
    return Personal(
        [LoginLine(**row) for row in logins],
        [MembershipLine(**row) for row in memberships],
        [ChallengeLine(**row) for row in challenges],
        [BookingLine(**row) for row in bookings],
        [EntitlementLine(**row) for row in entitlements],
        [BlockLine(**row) for row in blocks],
        [FriendLine(**row) for row in friends],
    )


async def incident_lines(safety: Safety, account_id: AccountId) -> list[IncidentLine]:
    """When somebody was asked whether they are all right, the newest first. Raises CannotOpen."""
    return [
        IncidentLine(
            id=incident.id,
            class_id=incident.class_id,
            kind=incident.kind,
            bpm=incident.bpm,
            opened_at=utc(incident.opened_ms),
            state=incident.state,
            coach_told_at=_at(incident.coach_told_ms),
            contact_told_at=_at(incident.contact_told_ms),
            ended_at=_at(incident.ended_ms),
            ended_by=incident.ended_by,
        )
        for incident in await safety.newest(account_id, MOST_LINES)
    ]


async def contact_lines(contacts: Contacts, phones: ContactPhones, account_id: AccountId) -> list[ContactLine]:
    """Whom an account has asked to be its emergency contact, the newest first. Raises CannotOpen."""
    named = await contacts.latest(account_id, MOST_LINES)
    emails = {contact.id: contact.email for contact in named}
    lines = [_contact_line(contact, contact.name, contact.email, None) for contact in named]
    for phone in await phones.latest(account_id, MOST_LINES):
        lines.append(_contact_line(phone, phone.contact, emails.get(phone.contact_id, ""), phone.number))
    return sorted(lines, key=lambda line: line.asked_at, reverse=True)[:MOST_LINES]


def _contact_line(question: Question, name: str, email: str, number: str | None) -> ContactLine:
    return ContactLine(
        name,
        email,
        number,
        utc(question.asked_at_ms),
        _at(question.agreed_at_ms),
        _at(question.refused_at_ms),
        _at(question.replaced_at_ms),
    )


def _at(ms: int | None) -> datetime | None:
    return None if ms is None else utc(ms)
