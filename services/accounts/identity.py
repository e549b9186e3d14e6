"""An identity: somebody as a provider knows them, linked to an account here. Pure.

It is (issuer, subject) and never an address: addresses are given up and given to others, and what one provider calls
anna@example.org need not be who another one calls so (ASVS 6.8.1). `email` is what the provider said when it was linked, for the
owner's list.
"""

from typing import Final

import msgspec

from services.kernel.caller import AccountRole
from services.kernel.ids import AccountId, IdentityId, LoginId

MOST_IDENTITIES: Final = 10
"""Per account."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Wall ms; `used_ms` is when somebody last signed in with it, or came with an access token of its issuer (by the hour).
    `provider` is its name in the operator's file when it was linked; `login_id` the login behind such access tokens, None while
    there was none."""

    id: IdentityId
    issuer: str
    subject: str
    account_id: AccountId
    provider: str
    email: str | None
    linked_ms: int
    used_ms: int
    login_id: LoginId | None = None


class Standing(msgspec.Struct, frozen=True):
    """An identity with what its access tokens open now: the account's name and roles, and when the login behind them ended."""

    identity: Identity
    name: str
    roles: frozenset[AccountRole]
    ended_ms: int | None = None

    @property
    def logged_in(self) -> LoginId | None:
        """The login that goes on behind its access tokens."""
        return self.identity.login_id if self.ended_ms is None else None


def has_way_in(*, password: bool, identities: int, passkeys: int) -> bool:
    """Whether there is a way into an account that has so much left."""
    return password or identities > 0 or passkeys > 0
