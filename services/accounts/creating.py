"""Making an account for somebody else, on the server.

Nobody knows its password, not even who made it: its owner asks for a new one with the mail of their address, which proves that the
address is theirs. So an operator never handles anybody's password, and a mistyped address gives nobody anything.
"""

import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol
from uuid import UUID

from services.access.role import GRANTED
from services.accounts.account import Account, AccountView, normal_email, normal_name, view_of
from services.accounts.passwords import Passwords
from services.audit.entry import Actor, AuditStore, Entry
from services.kernel.caller import AccountRole
from services.kernel.clock import Clock
from services.kernel.facts import AccountRegistered, AnyFact
from services.kernel.ids import AccountId, FactId, Ids
from services.kernel.problems import BadShape


class AccountStore(Protocol):
    """What this needs of the accounts' store."""

    async def add(self, account: Account, password_hash: str) -> None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class CreatingStores(Protocol):
    """The stores of one transaction."""

    @property
    def accounts(self) -> AccountStore: ...
    @property
    def outbox(self) -> OutboxStore: ...
    @property
    def audit(self) -> AuditStore: ...


class Creating:
    """The use case."""

    def __init__(
        self,
        transactions: Callable[[], AbstractAsyncContextManager[CreatingStores]],
        passwords: Passwords,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._transactions: Final = transactions
        self._passwords: Final = passwords
        self._clock: Final = clock
        self._ids: Final = ids

    async def create(self, by: Actor, *, email: str, name: str, role: AccountRole) -> AccountView:
        """Make an account with a role beside that of a member. Raises BadShape, EmailTaken, Busy."""
        if role not in GRANTED | {"member"}:
            raise BadShape(f"an account cannot have the role {role}", path="$.role")
        account = Account(
            id=AccountId(self._ids.next()),
            email=normal_email(email),
            name=normal_name(name),
            roles=frozenset({"member", role}),
            created_at_ms=self._clock.wall_ms(),
        )
        nobodys = await self._passwords.hash(secrets.token_urlsafe(32))
        async with self._transactions() as stores:
            await stores.accounts.add(account, nobodys)
            await stores.outbox.add(AccountRegistered(account.id), account.id)
            await stores.audit.add(Entry(by, "account.created", account.id, data={"role": role}))
        return view_of(account)
