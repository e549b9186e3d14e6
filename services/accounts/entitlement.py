"""What an account may have beyond having an account: an entitlement, by name, from a source, for a time. Pure.

A class, an offer or a series names the entitlement that it needs, or none. Whether somebody has it is one question with one
answer (`lack_of`), asked at the moment it matters: when a place is booked, when somebody who waits for one is to get it, when they
come in. Nothing is worked out beforehand and kept, so what is granted or withdrawn holds for the very next question, on every node.

Whoever is in stays in: what runs out in the middle of a class does not put anybody out of it, as no studio stops the bike of
somebody whose card expires at ten past six. They come back from a lost line, too; the next class asks again.

A grant has a source: a person who gave it, a voucher, a subscription. One source gives a name once (granting again replaces it),
and what one source takes back the other still gives. Payments will be one more source.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec

from services.kernel.ids import AccountId, EntitlementId
from services.kernel.problems import BadShape, EntitlementNeeded

MAX_NAME: Final = 40
EntitlementName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=MAX_NAME,
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$",
        description="small letters, figures, hyphens: live, premium",
    ),
]
Source = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=80,
        pattern=r"^[\x21-\x7e]+$",
        description="who or what gives it, in one word: operator, voucher:SPRING",
    ),
]
Lack = Literal["never", "not_yet", "expired", "withdrawn"]
"""Why somebody does not have what is needed: they never had it, it begins later, it has run out, it was taken back."""

_SAYS: Final[dict[Lack, str]] = {
    "never": "your account does not have it",
    "not_yet": "yours begins later",
    "expired": "yours has run out",
    "withdrawn": "yours was withdrawn",
}


class Entitlement(msgspec.Struct, frozen=True):
    """One grant. It holds from `from_ms` on and before `until_ms` (None: without an end), unless it was withdrawn. Instants in ms
    since 1970."""

    id: EntitlementId
    account_id: AccountId
    name: str
    source: str
    from_ms: int
    until_ms: int | None
    granted_ms: int
    withdrawn_ms: int | None = None

    def holds(self, now_ms: int) -> bool:
        """Whether it lets its account do something now."""
        begun = self.from_ms <= now_ms
        return self.withdrawn_ms is None and begun and (self.until_ms is None or now_ms < self.until_ms)


class EntitlementView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A grant as its owner and operators see it. `holds`: it does right now. Times are ms since 1970; without `until_ms` it has no
    end."""

    name: str
    source: str
    holds: bool
    from_ms: int
    granted_at_ms: int
    until_ms: int | None = None
    withdrawn_at_ms: int | None = None


def check_times(from_ms: int, until_ms: int | None) -> None:
    """Raise `BadShape` for an entitlement that would end before it begins."""
    if until_ms is not None and until_ms <= from_ms:
        raise BadShape("it would end before it begins", path="$.until_ms")


def lack_of(name: str, granted: Iterable[Entitlement], now_ms: int) -> Lack | None:
    """Why somebody with these grants does not have what is needed, as the newest of them says; None when they have it."""
    named = [each for each in granted if each.name == name]
    if any(each.holds(now_ms) for each in named):
        return None
    return _why(max(named, key=lambda each: each.id), now_ms) if named else "never"


def require(name: str | None, granted: Iterable[Entitlement], now_ms: int) -> None:
    """Raise `EntitlementNeeded`, with the name and the reason, unless somebody with these grants has what is needed."""
    lack = None if name is None else lack_of(name, granted, now_ms)
    if lack is not None:
        raise EntitlementNeeded(f"this needs the entitlement {name}: {_SAYS[lack]}", needs=name, reason=lack)


def view_of(entitlement: Entitlement, now_ms: int) -> EntitlementView:
    """A grant as its owner sees it."""
    return EntitlementView(
        name=entitlement.name,
        source=entitlement.source,
        holds=entitlement.holds(now_ms),
        from_ms=entitlement.from_ms,
        granted_at_ms=entitlement.granted_ms,
        until_ms=entitlement.until_ms,
        withdrawn_at_ms=entitlement.withdrawn_ms,
    )


def _why(entitlement: Entitlement, now_ms: int) -> Lack:
    if entitlement.withdrawn_ms is not None:
        return "withdrawn"
    return "not_yet" if now_ms < entitlement.from_ms else "expired"
