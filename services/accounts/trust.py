"""How far the access tokens of another issuer are trusted: what its operator writes into `[name.tokens]`, and nothing by default.

An issuer that people sign in with may also give out access tokens that are made for this installation (RFC 9068). They are taken
where ours are, and open what their scopes are mapped to here: a scope that no row maps opens nothing.
"""

import re
from typing import Annotated, Final

import msgspec

from services.accounts.scope import FOR_PEOPLE
from services.kernel.caller import Scope

LONGEST_MINUTES: Final = 60
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")
"""RFC 6749, 3.3."""

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One such table. `audience` is what its tokens call this installation; `scopes` is what each scope of its lends of ours;
    a token lives `longest_minutes` at most; `clients` are the programs it may have been given to, empty for all; `provision`: who
    comes with a token and has no account here gets one."""

    audience: _Text
    scopes: Annotated[dict[str, tuple[Scope, ...]], msgspec.Meta(min_length=1, max_length=100)]
    longest_minutes: Annotated[int, msgspec.Meta(ge=1, le=24 * 60)] = LONGEST_MINUTES
    clients: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=100)] = ()
    provision: bool = False

    def lent(self, scope: str) -> frozenset[Scope]:
        """What a `scope` claim comes to here."""
        return frozenset(ours for theirs in scope.split(" ") for ours in self.scopes.get(theirs, ()))


def checked_trust(trust: Trust, client_id: str) -> Trust:
    """The table as it was written. Raises ValueError when it would trust what it must not."""
    if trust.audience == client_id:
        raise ValueError(
            "tokens.audience: client_id is what ID tokens are made for; have the issuer make its access tokens for another name,"
            " such as the public address of this installation"
        )
    for theirs, ours in trust.scopes.items():
        if not _SCOPE.fullmatch(theirs):
            raise ValueError(
                f"tokens.scopes: {theirs[:100]!r} can be no scope: it has no spaces, quotes or backslashes"
            )
        if strange := sorted(set(ours) - FOR_PEOPLE):
            raise ValueError(
                f"tokens.scopes: {', '.join(strange)} is for apps that speak for themselves, and no person has it"
            )
    return trust
