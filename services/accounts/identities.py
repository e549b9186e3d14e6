"""The providers that an account signs in with: seeing them and taking one away. Linking one is a sign-in (sign_ins.py).

Taking one away asks for a login that has proven itself just now: with somebody's open phone one could otherwise shut them out. And
the last way into an account stays, because nobody could ever get in again. What came with access tokens of its issuer ends with it.
"""

from typing import Final

import msgspec
import structlog

from services.accounts.identity import Identity, has_way_in
from services.accounts.passwords import can_fit
from services.accounts.sign_in_ports import SignInTransactions
from services.accounts.step_up import require_fresh
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import LoginEnded
from services.kernel.ids import AccountId, IdentityId
from services.kernel.problems import Forbidden, LastWayIn, NotFound

UNLINKED: Final = "its provider was taken away"

log = structlog.get_logger(__name__)


class IdentityView(msgspec.Struct, frozen=True):
    """A provider that is linked. `email` is what it said when it was linked, null if nothing; `used_at_ms` when one last signed in
    with it, or came with an access token of it (by the hour). Times in ms since 1970."""

    id: IdentityId
    provider: str
    email: str | None
    linked_at_ms: int
    used_at_ms: int


class Identities:
    """The use cases. All raise Forbidden for a display, which has no account."""

    def __init__(self, transactions: SignInTransactions, clock: Clock) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock

    async def own(self, caller: Caller) -> tuple[IdentityView, ...]:
        """What is linked to the caller's account, in the order in which it was."""
        account_id = _account_of(caller)
        async with self._transactions() as stores:
            return tuple(map(_view, await stores.identities.of_account(account_id)))

    async def unlink(self, caller: Caller, identity_id: IdentityId) -> None:
        """Take one away. Raises NotFound, also for somebody else's; StepUpNeeded; LastWayIn."""
        account_id = _account_of(caller)
        require_fresh(caller, self._clock.wall_ms())
        async with self._transactions() as stores:
            # Locked, or two that are taken away at once would each see the other.
            password = await stores.accounts.password_hash_locked(account_id)
            identities = await stores.identities.of_account(account_id)
            found = next((one for one in identities if one.id == identity_id), None)
            if found is None:
                raise NotFound("no such provider is linked to your account")
            passkeys = await stores.second_factors.passkeys(account_id)
            left = len(identities) - 1
            if not has_way_in(password=can_fit(password), identities=left, passkeys=len(passkeys)):
                raise LastWayIn
            await stores.identities.remove(found.id)
            if found.login_id is not None:
                now = utc(self._clock.wall_ms())
                if await stores.logins.end(found.login_id, now, UNLINKED):
                    await stores.outbox.add(LoginEnded(account_id, found.login_id, UNLINKED), found.login_id)
        log.info("identity.unlinked", account=str(account_id), provider=found.provider)


def _account_of(caller: Caller) -> AccountId:
    if caller.class_id is not None:
        raise Forbidden("a display has no account; log in for this")
    return caller.account_id


def _view(identity: Identity) -> IdentityView:
    return IdentityView(
        id=identity.id,
        provider=identity.provider,
        email=identity.email,
        linked_at_ms=identity.linked_ms,
        used_at_ms=identity.used_ms,
    )
