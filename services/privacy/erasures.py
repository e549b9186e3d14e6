"""Asking for the erasure of one's account, and taking it back.

To ask needs a login that has proven itself just now, to take it back any login: whoever finds a stranger's wish must not lose time.
So the account is told of it at once, by mail and push (`security.erasure_asked`).
"""

from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol
from uuid import UUID

import structlog

from services.access import permission as may
from services.access.policy import require_held
from services.accounts.account import Account
from services.accounts.step_up import require_fresh
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.facts import AnyFact, ErasureAsked
from services.kernel.ids import AccountId, FactId
from services.kernel.problems import NotFound
from services.privacy.erasure import GRACE_MS, Erasure, ErasureView

log = structlog.get_logger(__name__)


class ErasureStore(Protocol):
    """Erasures."""

    async def ask(self, account_id: AccountId, asked_ms: int, due_ms: int) -> Erasure:
        """Note the wish; the one that is noted already stands."""
        ...

    async def of(self, account_id: AccountId) -> Erasure | None: ...

    async def take_back(self, account_id: AccountId) -> bool:
        """Forget the wish unless the account is closed already; whether there was one."""
        ...


class AccountStore(Protocol):
    """Accounts."""

    async def locked(self, account_id: AccountId) -> Account | None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class ErasureStores(Protocol):
    """The stores of one open transaction."""

    @property
    def erasures(self) -> ErasureStore: ...
    @property
    def accounts(self) -> AccountStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


class ErasureTransactions(Protocol):
    """Opens a transaction: everything done in it commits together or not at all."""

    def __call__(self) -> AbstractAsyncContextManager[ErasureStores]: ...


class Erasures:
    """The use cases."""

    def __init__(self, transactions: ErasureTransactions, clock: Clock) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock

    async def ask(self, caller: Caller) -> ErasureView:
        """Everything about the caller is to go, after the grace; asking again changes nothing. Raises Forbidden, StepUpNeeded."""
        require_held(caller, may.ERASE_ONESELF)
        require_fresh(caller, self._clock.wall_ms())
        return await self.ask_for(caller.account_id)

    async def ask_for(self, account_id: AccountId, grace_ms: int = GRACE_MS) -> ErasureView:
        """The same for an account, by whoever may. Raises NotFound."""
        now_ms = self._clock.wall_ms()
        async with self._transactions() as stores:
            if await stores.accounts.locked(account_id) is None:
                raise NotFound("this account does not exist any more")
            erasure = await stores.erasures.ask(account_id, now_ms, now_ms + grace_ms)
            if erasure.due_ms == now_ms + grace_ms:
                await stores.outbox.add(ErasureAsked(account_id, now_ms, erasure.due_ms), account_id)
        log.info("erasure.asked", account=str(account_id))
        return _view(erasure)

    async def own(self, caller: Caller) -> ErasureView:
        """What the caller has asked for. Raises Forbidden, NotFound when that is nothing."""
        require_held(caller, may.ERASE_ONESELF)
        async with self._transactions() as stores:
            erasure = await stores.erasures.of(caller.account_id)
        if erasure is None:
            raise NotFound("you have not asked for your account to be erased")
        return _view(erasure)

    async def take_back(self, caller: Caller) -> None:
        """Nothing is to go. Again is fine. Raises Forbidden."""
        require_held(caller, may.ERASE_ONESELF)
        async with self._transactions() as stores:
            if await stores.erasures.take_back(caller.account_id):
                log.info("erasure.taken_back", account=str(caller.account_id))


def _view(erasure: Erasure) -> ErasureView:
    return ErasureView(erasure.asked_ms, erasure.due_ms)
