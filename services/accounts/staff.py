"""What staff may do to accounts of others: look at them, end their logins, suspend them, give and take roles.

There are two ways in. `AccountActs` does it for whoever has already been let in: a command on the server, whose user is the actor.
`Staff` is for people with a role: it asks policy, and a second factor that was shown just now, and then does the same.

A role that is taken, and a suspension, end all logins of the account in the same transaction. So an access token that still names
the role is refused within seconds, on open sockets and over HTTP, on every node (revoked.py), and whoever lost a role logs in again
without it. A role that is given is in the next access token.

Each act and each look is in the audit, in the transaction that does it. Of the body of somebody else nothing is shown here.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Literal, Protocol
from uuid import UUID

import msgspec

from services.access import permission as may
from services.access.permission import Permission
from services.access.policy import require
from services.accounts.account import Account, normal_email
from services.accounts.connection import ConnectionLook, ConnectionsLook, Found, Whereabouts
from services.accounts.ports import LoginInUse
from services.accounts.step_up import require_fresh
from services.accounts.suspension import Suspension, SuspensionView, check_until, view_of
from services.audit.entry import Actor, AuditStore, Entry, actor_of
from services.kernel.caller import AccountRole, Caller
from services.kernel.clock import Clock, to_wall_ms, utc
from services.kernel.facts import AnyFact, LoginEnded
from services.kernel.ids import AccountId, FactId, Ids, LoginId, SuspensionId
from services.kernel.problems import Forbidden, NotFound

GivenRole = Literal["coach", "author", "support", "admin"]
"""Those that can be given and taken (services/access/role.py, `GRANTED`)."""
ENDED_BY_STAFF: Final = "ended by an operator"
SUSPENDED: Final = "the account was suspended"
ROLE_TAKEN: Final = "a role was taken"


class LoginLook(msgspec.Struct, frozen=True):
    """A login of somebody, as staff see it."""

    id: LoginId
    device: str
    created_at_ms: int
    used_at_ms: int


class AccountLook(msgspec.Struct, frozen=True):
    """An account of somebody, as staff see it: nothing of their body. `suspension` while one holds; `logins` that go on, the one
    used last first."""

    id: AccountId
    email: str
    name: str
    roles: tuple[AccountRole, ...]
    created_at_ms: int
    suspension: SuspensionView | None
    logins: tuple[LoginLook, ...]


class AccountStore(Protocol):
    """What this needs of the accounts' store."""

    async def by_id(self, account_id: AccountId) -> Account | None: ...
    async def locked(self, account_id: AccountId) -> Account | None: ...
    async def by_email_locked(self, email: str) -> Account | None: ...
    async def save_roles(self, account_id: AccountId, roles: frozenset[AccountRole]) -> None: ...


class LoginStore(Protocol):
    """What this needs of the logins' store."""

    async def live(self, account_id: AccountId, now: datetime) -> list[LoginInUse]: ...
    async def end_all(self, account_id: AccountId, ended_at: datetime, reason: str) -> list[LoginId]: ...


class SuspensionStore(Protocol):
    """See persistence/suspensions.py."""

    async def standing(self, account_id: AccountId) -> Suspension | None: ...
    async def add(self, suspension: Suspension) -> None: ...
    async def lift(self, suspension_id: SuspensionId, at: datetime) -> None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class StaffStores(Protocol):
    """The stores of one transaction."""

    @property
    def accounts(self) -> AccountStore: ...
    @property
    def logins(self) -> LoginStore: ...
    @property
    def suspensions(self) -> SuspensionStore: ...
    @property
    def outbox(self) -> OutboxStore: ...
    @property
    def audit(self) -> AuditStore: ...


StaffTransactions = Callable[[], AbstractAsyncContextManager[StaffStores]]


class AccountActs:
    """The acts themselves, by whoever was let in. All raise `NotFound` for an account that is not there."""

    def __init__(self, transactions: StaffTransactions, clock: Clock, ids: Ids) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids

    async def find(self, email: str) -> AccountId:
        """Whose address this is. Raises `BadShape` for what is none."""
        async with self._transactions() as stores:
            account = await stores.accounts.by_email_locked(normal_email(email))
        if account is None:
            raise NotFound(f"there is no account with the address {email}")
        return account.id

    async def look(self, by: Actor, account_id: AccountId) -> AccountLook:
        """How an account stands."""
        async with self._transactions() as stores:
            account = await stores.accounts.by_id(account_id)
            if account is None:
                raise NotFound("there is no account with this id")
            await stores.audit.add(Entry(by, "account.looked_up", account_id))
            return await self._look(stores, account)

    async def connections(self, by: Actor, account_id: AccountId, found: Found) -> ConnectionsLook:
        """Where somebody is connected, with what their logins are called."""
        async with self._transactions() as stores:
            if await stores.accounts.by_id(account_id) is None:
                raise NotFound("there is no account with this id")
            live = await stores.logins.live(account_id, utc(self._clock.wall_ms()))
            await stores.audit.add(Entry(by, "connections.looked_up", account_id))
        devices = {use.login.id: use.login.device for use in live}
        return ConnectionsLook(
            tuple(
                ConnectionLook(
                    seen.node, seen.login, devices.get(seen.login, ""), seen.opened_at_ms, seen.rooms, seen.app
                )
                for seen in found.connections
            ),
            found.silent,
        )

    async def end_logins(self, by: Actor, account_id: AccountId, reason: str) -> int:
        """End all logins of an account; how many that were."""
        async with self._transactions() as stores:
            await _locked(stores, account_id)
            ended = await self._end_logins(stores, account_id, ENDED_BY_STAFF)
            await stores.audit.add(Entry(by, "logins.ended", account_id, reason=reason, data={"count": ended}))
        return ended

    async def suspend(self, by: Actor, account_id: AccountId, reason: str, until_ms: int | None) -> AccountLook:
        """Shut an account until then, or until it is lifted; one that is shut already is shut anew. Raises `BadShape`."""
        now_ms = self._clock.wall_ms()
        check_until(until_ms, now_ms)
        async with self._transactions() as stores:
            account = await _locked(stores, account_id)
            standing = await stores.suspensions.standing(account_id)
            if standing is None or (standing.reason, standing.until_ms) != (reason, until_ms):
                if standing is not None:
                    await stores.suspensions.lift(standing.id, utc(now_ms))
                await stores.suspensions.add(
                    Suspension(SuspensionId(self._ids.next()), account_id, reason, now_ms, until_ms)
                )
                await stores.audit.add(Entry(by, "account.suspended", account_id, reason=reason))
            await self._end_logins(stores, account_id, SUSPENDED)
            return await self._look(stores, account)

    async def lift(self, by: Actor, account_id: AccountId, reason: str) -> AccountLook:
        """Let an account be used again. One that may be used stays as it is."""
        async with self._transactions() as stores:
            account = await _locked(stores, account_id)
            standing = await stores.suspensions.standing(account_id)
            if standing is not None:
                await stores.suspensions.lift(standing.id, utc(self._clock.wall_ms()))
                await stores.audit.add(Entry(by, "account.lifted", account_id, reason=reason))
            return await self._look(stores, account)

    async def grant(self, by: Actor, account_id: AccountId, role: GivenRole) -> AccountLook:
        """Give a role. One that is there already stays."""
        async with self._transactions() as stores:
            account = await _locked(stores, account_id)
            if role not in account.roles:
                account = msgspec.structs.replace(account, roles=account.roles | {role})
                await stores.accounts.save_roles(account_id, account.roles)
                await stores.audit.add(Entry(by, "role.granted", account_id, data={"role": role}))
            return await self._look(stores, account)

    async def withdraw(self, by: Actor, account_id: AccountId, role: GivenRole) -> AccountLook:
        """Take a role, and end all logins with it. One that is not there is not missed."""
        async with self._transactions() as stores:
            account = await _locked(stores, account_id)
            if role in account.roles:
                account = msgspec.structs.replace(account, roles=account.roles - {role})
                await stores.accounts.save_roles(account_id, account.roles)
                await self._end_logins(stores, account_id, ROLE_TAKEN)
                await stores.audit.add(Entry(by, "role.withdrawn", account_id, data={"role": role}))
            return await self._look(stores, account)

    async def _end_logins(self, stores: StaffStores, account_id: AccountId, reason: str) -> int:
        ended = await stores.logins.end_all(account_id, utc(self._clock.wall_ms()), reason)
        for login_id in ended:
            await stores.outbox.add(LoginEnded(account_id, login_id, reason), login_id)
        return len(ended)

    async def _look(self, stores: StaffStores, account: Account) -> AccountLook:
        now_ms = self._clock.wall_ms()
        live = await stores.logins.live(account.id, utc(now_ms))
        return AccountLook(
            id=account.id,
            email=account.email,
            name=account.name,
            roles=tuple(sorted(account.roles)),
            created_at_ms=account.created_at_ms,
            suspension=view_of(await stores.suspensions.standing(account.id), now_ms),
            logins=tuple(
                LoginLook(use.login.id, use.login.device, to_wall_ms(use.login.created_at), to_wall_ms(use.used_at))
                for use in live
            ),
        )


class Staff:
    """The same for people with a role. All raise `Forbidden`, `StepUpNeeded`, `NotFound`; `address` is where they ask from."""

    def __init__(self, acts: AccountActs, clock: Clock, whereabouts: Whereabouts | None = None) -> None:
        self._whereabouts: Final = whereabouts
        self._acts: Final = acts
        self._clock: Final = clock

    async def find(self, caller: Caller, email: str, address: str | None) -> AccountLook:
        """The account with an address. Raises `BadShape`."""
        by = self._let_in(caller, may.LOOK_AT_ACCOUNTS, address)
        return await self._acts.look(by, await self._acts.find(email))

    async def look(self, caller: Caller, account_id: AccountId, address: str | None) -> AccountLook:
        """How an account stands."""
        return await self._acts.look(self._let_in(caller, may.LOOK_AT_ACCOUNTS, address), account_id)

    async def connections(self, caller: Caller, account_id: AccountId, address: str | None) -> ConnectionsLook:
        """Where an account is connected, on all nodes. Raises `NotFound` also where there are no sockets."""
        by = self._let_in(caller, may.LOOK_AT_ACCOUNTS, address)
        if self._whereabouts is None:
            raise NotFound("this process has no sockets to show")
        return await self._acts.connections(by, account_id, await self._whereabouts.of(account_id))

    async def end_logins(self, caller: Caller, account_id: AccountId, reason: str, address: str | None) -> int:
        """End all logins of an account; how many that were."""
        return await self._acts.end_logins(self._let_in(caller, may.END_THEIR_LOGINS, address), account_id, reason)

    async def suspend(
        self, caller: Caller, account_id: AccountId, reason: str, until_ms: int | None, address: str | None
    ) -> AccountLook:
        """Shut an account; nobody shuts their own. Raises `BadShape`."""
        by = self._let_in(caller, may.SUSPEND, address)
        if account_id == caller.account_id:
            raise Forbidden("nobody suspends their own account: ask another admin")
        return await self._acts.suspend(by, account_id, reason, until_ms)

    async def lift(self, caller: Caller, account_id: AccountId, reason: str, address: str | None) -> AccountLook:
        """Let an account be used again."""
        return await self._acts.lift(self._let_in(caller, may.SUSPEND, address), account_id, reason)

    async def grant(self, caller: Caller, account_id: AccountId, role: GivenRole, address: str | None) -> AccountLook:
        """Give a role."""
        return await self._acts.grant(self._let_in(caller, may.GRANT_ROLES, address), account_id, role)

    async def withdraw(
        self, caller: Caller, account_id: AccountId, role: GivenRole, address: str | None
    ) -> AccountLook:
        """Take a role; nobody takes their own right to do so, so that there is always an admin left."""
        by = self._let_in(caller, may.GRANT_ROLES, address)
        if account_id == caller.account_id and role == "admin":
            raise Forbidden("nobody takes the role admin from themselves: ask another admin")
        return await self._acts.withdraw(by, account_id, role)

    def _let_in(self, caller: Caller, permission: Permission, address: str | None) -> Actor:
        require(caller, permission)
        require_fresh(caller, self._clock.wall_ms(), second_factor=True)
        return actor_of(caller, address)


async def _locked(stores: StaffStores, account_id: AccountId) -> Account:
    account = await stores.accounts.locked(account_id)
    if account is None:
        raise NotFound("there is no account with this id")
    return account
