"""What goes with a move that its owner takes back: whatever has come to the account since.

Whoever carries an account off makes it theirs by more than its address. A passkey or a provider opens it by itself; an
authenticator app, and the recovery codes for it, keep its owner out with whatever password they choose; a webhook goes
on telling what they train; a wish for erasure ends everything within days. So all of that goes in the transaction that
takes the move back. What is older is the owner's, and stays.

When it was added is all that tells one from the other. What a thief added before they moved the account stays, too: its
owner has had a mail about each factor, at the address that they still had then.
"""

from datetime import datetime
from typing import Protocol

import msgspec

from services.accounts.second_factor import Change
from services.accounts.sign_in_ports import SignInStores
from services.audit.entry import SYSTEM, Entry
from services.kernel.clock import utc
from services.kernel.facts import SecondFactorChanged
from services.kernel.ids import AccountId


class EndpointStore(Protocol):
    """Webhook endpoints."""

    async def remove_made_since(self, account_id: AccountId, since: datetime, at: datetime) -> int:
        """Those of an account that were made then or later are gone for everybody; how many."""
        ...


class ErasureStore(Protocol):
    """Erasures."""

    async def take_back(self, account_id: AccountId, *, asked_since: datetime | None = None) -> bool:
        """Forget the wish unless the account is closed already, or it was asked for before; whether there was one."""
        ...


class ReturningStores(SignInStores, Protocol):
    """The stores of one open transaction, for an account that goes back to its owner."""

    @property
    def webhooks(self) -> EndpointStore: ...
    @property
    def erasures(self) -> ErasureStore: ...


class Gone(msgspec.Struct, frozen=True):
    """What has gone: whether an app and a wish for erasure have, and how many of the others."""

    app: bool
    passkeys: int
    recovery_codes: int
    identities: int
    webhooks: int
    erasure: bool


async def take_what_came(
    stores: ReturningStores, account_id: AccountId, *, since_ms: int, now_ms: int, reason: str
) -> Gone:
    """Take away what came to an account at `since_ms` or later; the account is locked. Its owner is told of the factors
    that have gone, at the address that the account has when this commits."""
    since, now = utc(since_ms), utc(now_ms)
    app, passkeys, codes = await _factors(stores, account_id, since_ms, now_ms)
    identities = [one for one in await stores.identities.of_account(account_id) if one.linked_ms >= since_ms]
    for identity in identities:
        await stores.identities.remove(identity.id)
    gone = Gone(
        app=app,
        passkeys=passkeys,
        recovery_codes=codes,
        identities=len(identities),
        webhooks=await stores.webhooks.remove_made_since(account_id, since, now),
        erasure=await stores.erasures.take_back(account_id, asked_since=since),
    )
    if app or passkeys or codes:
        lost = {"passkeys": passkeys, "recovery_codes": codes}
        await stores.audit.add(Entry(SYSTEM, "factors.reset", account_id, reason=reason, data=lost))
    return gone


async def _factors(stores: ReturningStores, account_id: AccountId, since_ms: int, now_ms: int) -> tuple[bool, int, int]:
    """Whether an app has gone, how many passkeys, and how many recovery codes."""
    factors = stores.second_factors

    async def told(change: Change, name: str = "") -> None:
        await stores.outbox.add(SecondFactorChanged(account_id, change, now_ms, name=name), account_id)

    totp = await factors.totp(account_id)
    has_app = totp is not None and max(totp.made_at_ms, totp.confirmed_at_ms or 0) >= since_ms
    app = has_app and await factors.forget_totp(account_id)
    if app:
        await told("totp_removed")
    passkeys = [one for one in await factors.passkeys(account_id) if one.made_at_ms >= since_ms]
    for passkey in passkeys:
        await factors.forget_passkey(account_id, passkey.id)
        await told("passkey_removed", passkey.name)
    # Codes stand in for a factor, and go with the last one.
    stays = await factors.any(account_id)
    codes = await factors.forget_codes(account_id, made_since=utc(since_ms) if stays else None)
    return app, len(passkeys), codes
