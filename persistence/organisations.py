"""The SQL of organisations, their seats and their invitations.

The row of an organisation is the lock of its seats: whoever gives or takes one holds it. An invitation is a row beside its mail,
which knows the address and whether the link is over.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.access.role import OrgRole
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, AccountMailId, OrganisationId
from services.organisations.organisation import Held, Invitation, Member, Organisation

_INVITATIONS: Final = """
    SELECT invitation.id, invitation.organisation_id, invitation.role, invitation.invited_by, mail.email, mail.asked_at
    FROM organisation_invitations AS invitation JOIN account_mails AS mail ON mail.id = invitation.id
"""


class Organisations:
    """The organisations inside one transaction. One that was dissolved is not found."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, organisation: Organisation) -> None:
        """Store a new one."""
        await self._tx.execute(
            "INSERT INTO organisations (id, name, seats, created_at) VALUES ($1, $2, $3, $4)",
            organisation.id,
            organisation.name,
            organisation.seats,
            utc(organisation.created_at_ms),
        )

    async def by_id(self, organisation_id: OrganisationId) -> Organisation | None:
        """The organisation, or None."""
        row = await self._tx.fetchrow(
            "SELECT * FROM organisations WHERE id = $1 AND dissolved_at IS NULL", organisation_id
        )
        return None if row is None else _organisation(row)

    async def lock(self, organisation_id: OrganisationId) -> Organisation | None:
        """The organisation, its row locked until the transaction ends (FOR NO KEY UPDATE), or None."""
        row = await self._tx.fetchrow(
            "SELECT * FROM organisations WHERE id = $1 AND dissolved_at IS NULL FOR NO KEY UPDATE", organisation_id
        )
        return None if row is None else _organisation(row)

    async def save(self, organisation: Organisation) -> None:
        """Store name and seats. The row must be locked."""
        await self._tx.execute(
            "UPDATE organisations SET name = $2, seats = $3 WHERE id = $1",
            organisation.id,
            organisation.name,
            organisation.seats,
        )

    async def dissolve(self, organisation_id: OrganisationId, at: datetime) -> None:
        """Nobody sits in it, and no link into it is good. The row must be locked."""
        await self._tx.execute("UPDATE organisations SET dissolved_at = $2 WHERE id = $1", organisation_id, at)
        await self._tx.execute("DELETE FROM organisation_members WHERE organisation_id = $1", organisation_id)
        await self._tx.execute("DELETE FROM organisation_entitlements WHERE organisation_id = $1", organisation_id)
        await self._tx.execute(
            """
            UPDATE account_mails SET ended_at = $2
            WHERE ended_at IS NULL AND id IN (SELECT id FROM organisation_invitations WHERE organisation_id = $1)
            """,
            organisation_id,
            at,
        )

    # -- seats --------------------------------------------------------------------------------------------------------

    async def seat_of(self, organisation_id: OrganisationId, account_id: AccountId) -> OrgRole | None:
        """What somebody is in it; None for nothing."""
        role: OrgRole | None = await self._tx.fetchval(
            "SELECT role FROM organisation_members WHERE organisation_id = $1 AND account_id = $2",
            organisation_id,
            account_id,
        )
        return role

    async def hold_seat(self, organisation_id: OrganisationId, account_id: AccountId) -> bool:
        """Whether somebody is in it; then nobody takes their seat before this transaction ends (FOR SHARE)."""
        found = await self._tx.fetchval(
            "SELECT true FROM organisation_members WHERE organisation_id = $1 AND account_id = $2 FOR SHARE",
            organisation_id,
            account_id,
        )
        return bool(found)

    async def seated(self, organisation_id: OrganisationId, accounts: Collection[AccountId]) -> set[AccountId]:
        """Who of these is in it."""
        rows = await self._tx.fetch(
            "SELECT account_id FROM organisation_members WHERE organisation_id = $1 AND account_id = ANY ($2)",
            organisation_id,
            list(accounts),
        )
        return {AccountId(row["account_id"]) for row in rows}

    async def members(self, organisation_id: OrganisationId) -> list[Member]:
        """Everybody in it, in the order in which they came."""
        rows = await self._tx.fetch(
            """
            SELECT sits.account_id, accounts.name, sits.role, sits.joined_at
            FROM organisation_members AS sits JOIN accounts ON accounts.id = sits.account_id
            WHERE sits.organisation_id = $1
            ORDER BY sits.joined_at, sits.account_id
            """,
            organisation_id,
        )
        return [
            Member(AccountId(row["account_id"]), row["name"], row["role"], to_wall_ms(row["joined_at"])) for row in rows
        ]

    async def of_account(self, account_id: AccountId) -> list[tuple[Organisation, OrgRole]]:
        """Those that somebody is in, and as what, the oldest first."""
        rows = await self._tx.fetch(
            """
            SELECT organisations.*, sits.role
            FROM organisation_members AS sits JOIN organisations ON organisations.id = sits.organisation_id
            WHERE sits.account_id = $1
            ORDER BY organisations.id
            """,
            account_id,
        )
        return [(_organisation(row), row["role"]) for row in rows]

    async def seat(self, organisation_id: OrganisationId, account_id: AccountId, role: OrgRole, at: datetime) -> None:
        """Give somebody a seat who has none. The organisation must be locked."""
        await self._tx.execute(
            "INSERT INTO organisation_members (organisation_id, account_id, role, joined_at) VALUES ($1, $2, $3, $4)",
            organisation_id,
            account_id,
            role,
            at,
        )

    async def change(self, organisation_id: OrganisationId, account_id: AccountId, role: OrgRole) -> None:
        """Make a member something else. The organisation must be locked."""
        await self._tx.execute(
            "UPDATE organisation_members SET role = $3 WHERE organisation_id = $1 AND account_id = $2",
            organisation_id,
            account_id,
            role,
        )

    async def unseat(self, organisation_id: OrganisationId, account_id: AccountId) -> None:
        """Take somebody's seat. The organisation must be locked."""
        await self._tx.execute(
            "DELETE FROM organisation_members WHERE organisation_id = $1 AND account_id = $2",
            organisation_id,
            account_id,
        )

    # -- what it has --------------------------------------------------------------------------------------------------

    async def held(self, organisation_id: OrganisationId) -> list[Held]:
        """What its members are entitled to, by name."""
        rows = await self._tx.fetch(
            "SELECT name, from_at, until_at FROM organisation_entitlements WHERE organisation_id = $1 ORDER BY name",
            organisation_id,
        )
        return [
            Held(
                row["name"],
                to_wall_ms(row["from_at"]),
                None if row["until_at"] is None else to_wall_ms(row["until_at"]),
            )
            for row in rows
        ]

    async def hold(self, organisation_id: OrganisationId, held: Held) -> None:
        """Entitle it, in place of what it had under this name. The organisation must be locked."""
        await self._tx.execute(
            """
            INSERT INTO organisation_entitlements (organisation_id, name, from_at, until_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (organisation_id, name) DO UPDATE SET from_at = $3, until_at = $4
            """,
            organisation_id,
            held.name,
            utc(held.from_ms),
            None if held.until_ms is None else utc(held.until_ms),
        )

    async def let_go(self, organisation_id: OrganisationId, name: str) -> None:
        """It has this no more. The organisation must be locked."""
        await self._tx.execute(
            "DELETE FROM organisation_entitlements WHERE organisation_id = $1 AND name = $2", organisation_id, name
        )

    # -- invitations --------------------------------------------------------------------------------------------------

    async def invite(self, invitation: Invitation) -> None:
        """Store an invitation whose mail is stored."""
        await self._tx.execute(
            "INSERT INTO organisation_invitations (id, organisation_id, role, invited_by) VALUES ($1, $2, $3, $4)",
            invitation.id,
            invitation.organisation_id,
            invitation.role,
            invitation.invited_by,
        )

    async def invitation(self, invitation_id: AccountMailId) -> Invitation | None:
        """The invitation, whether its link is good or not."""
        row = await self._tx.fetchrow(f"{_INVITATIONS} WHERE invitation.id = $1", invitation_id)
        return None if row is None else _invitation(row)

    async def invited_by(self, account_id: AccountId, asked_after: datetime) -> int:
        """How many somebody has sent since an instant, whatever became of them."""
        count: int = await self._tx.fetchval(
            """
            SELECT count(*) FROM organisation_invitations AS invitation
            JOIN account_mails AS mail ON mail.id = invitation.id
            WHERE invitation.invited_by = $1 AND mail.asked_at > $2
            """,
            account_id,
            asked_after,
        )
        return count

    async def invitations(self, organisation_id: OrganisationId, asked_after: datetime) -> list[Invitation]:
        """Those that were asked after an instant and are not over, the oldest first."""
        rows = await self._tx.fetch(
            f"""
            {_INVITATIONS}
            WHERE invitation.organisation_id = $1 AND mail.ended_at IS NULL AND mail.asked_at > $2
            ORDER BY invitation.id
            """,
            organisation_id,
            asked_after,
        )
        return [_invitation(row) for row in rows]


def _organisation(row: asyncpg.Record) -> Organisation:
    return Organisation(OrganisationId(row["id"]), row["name"], row["seats"], to_wall_ms(row["created_at"]))


def _invitation(row: asyncpg.Record) -> Invitation:
    return Invitation(
        id=AccountMailId(row["id"]),
        organisation_id=OrganisationId(row["organisation_id"]),
        email=row["email"],
        role=row["role"],
        invited_by=AccountId(row["invited_by"]),
        asked_at_ms=to_wall_ms(row["asked_at"]),
    )
