"""An identity: somebody as a provider knows them, linked to an account here. Pure.

It is (issuer, subject) and never an address: addresses are given up and given to others, and what one provider calls
anna@example.org need not be who another one calls so (ASVS 6.8.1). `email` is what the provider said when it was linked, for the
owner's list.
"""

from typing import Final

import msgspec

from services.kernel.ids import AccountId, IdentityId

MOST_IDENTITIES: Final = 10
"""Per account."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Wall ms; `used_ms` is when somebody last signed in with it. `provider` is its name in the operator's file when it was
    linked."""

    id: IdentityId
    issuer: str
    subject: str
    account_id: AccountId
    provider: str
    email: str | None
    linked_ms: int
    used_ms: int


def is_last_way_in(identities: int, *, password: bool, passkeys: int) -> bool:
    """Whether one of so many identities is the only way into an account."""
    return identities <= 1 and not password and passkeys == 0
