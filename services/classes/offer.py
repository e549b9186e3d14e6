"""A class that can be booked beforehand: what is offered, and what may be done with it when. Pure: `now` is an argument.

An offer is not yet a class. It becomes one, under the same id, when its doors open: from then on it is a live class with a join
code like any other, and ends as one. So everything that is true of live classes stays true, and what is said here is only about the
time before, and about who is let in.

The times of an offer are minutes before or after its start, so that the terms of a whole series are the same words, and a class
that is put off takes its windows along.
"""

from typing import Annotated, Final, Literal

import msgspec

from services.access import permission as may
from services.access.policy import owned, require, require_held
from services.accounts.entitlement import EntitlementName
from services.classes.live_class import MAX_MEMBERS
from services.classes.team import TeamNames, team_names
from services.kernel.caller import Caller
from services.kernel.ids import AccountId, BookingId, ClassId, OrganisationId, ScriptId, SeriesId
from services.kernel.problems import BadShape, BookingShut, ClassCalledOff, DoorsShut, Forbidden, NotBooked, OfferFixed

MS_PER_MINUTE: Final = 60_000
MOST_SEATS: Final = MAX_MEMBERS - 1
"""Places of one class: its coach is a member, too."""
MOST_AHEAD_DAYS: Final = 366
MOST_BEFORE_MIN: Final = MOST_AHEAD_DAYS * 24 * 60

EARLY_MS: Final = 60_000
"""How much too early what is due by another node's clock may seem by one's own: twice what a leader's clock may be off
(docs/systems/schedule.md)."""

Level = Literal["all", "beginner", "intermediate", "advanced"]
Members = Literal["all", "first", "only"]
"""For whom a class in the name of an organisation is: everybody, its members before others, or nobody else."""
Thing = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=40,
        pattern=r"^[^\x00-\x20\x7f]+( [^\x00-\x20\x7f]+)*$",
        description="one line, such as bike or heart-rate strap",
    ),
]
Title = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=80,
        pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$",
        description="one line with something in it",
    ),
]
Before = Annotated[int, msgspec.Meta(ge=0, le=MOST_BEFORE_MIN, description="minutes before the start")]


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is offered. `capacity` places and as many more on the `waitlist`; `equipment` what one should bring.

    Minutes before the start: booking opens and closes (`booking_opens_min`, `booking_closes_min`), the doors open and people are
    reminded (0: they are not). `doors_close_min` is after the start; null: newcomers are let in until the end. `booked_only`:
    nobody is let in without a place. `needs`: the entitlement without which nobody books, comes off the waitlist or is let in.
    `script`: one of your own library, which the class gets as it is when its doors open.
    `teams`: two or more that the class will have, none: no teams.
    `organisation`: in whose name it is offered. Its members book `first`, others from `others_open_min` before the start on; or
    it is for them `only`: nobody else finds it, books it or is let in.
    """

    title: Title
    duration_min: Annotated[int, msgspec.Meta(ge=5, le=480)]
    capacity: Annotated[int, msgspec.Meta(ge=1, le=MOST_SEATS)]
    waitlist: Annotated[int, msgspec.Meta(ge=0, le=MOST_SEATS)] = 50
    level: Level = "all"
    equipment: Annotated[tuple[Thing, ...], msgspec.Meta(max_length=10)] = ()
    booking_opens_min: Before = 14 * 24 * 60
    booking_closes_min: Before = 0
    doors_open_min: Annotated[int, msgspec.Meta(ge=0, le=120)] = 15
    doors_close_min: Annotated[int, msgspec.Meta(ge=0, le=480)] | None = 10
    remind_min: Annotated[int, msgspec.Meta(ge=0, le=7 * 24 * 60)] = 60
    booked_only: bool = True
    needs: EntitlementName | None = None
    script: ScriptId | None = None
    organisation: OrganisationId | None = None
    members: Members = "all"
    others_open_min: Before = 24 * 60
    teams: TeamNames = ()


class Offer(msgspec.Struct, frozen=True):
    """An offer as stored. `series_id` the series it is one class of. Instants in ms since 1970."""

    id: ClassId
    coach_id: AccountId
    coach_name: str
    starts_ms: int
    terms: Terms
    created_ms: int
    series_id: SeriesId | None = None
    called_off_ms: int | None = None
    organisation_name: str | None = None

    @property
    def members_of(self) -> OrganisationId | None:
        """The organisation whose members alone it is for; None when it is for others, too."""
        return self.terms.organisation if self.terms.members == "only" else None

    def opens_ms(self, *, seated: bool) -> int:
        """When booking opens for somebody who is in its organisation, or is not."""
        if self.terms.members == "first" and not seated:
            return self.starts_ms - self.terms.others_open_min * MS_PER_MINUTE
        return self.booking_opens_ms

    @property
    def ends_ms(self) -> int:
        return self.starts_ms + self.terms.duration_min * MS_PER_MINUTE

    @property
    def booking_opens_ms(self) -> int:
        """For those who book first; see `opens_ms`."""
        return self.starts_ms - self.terms.booking_opens_min * MS_PER_MINUTE

    @property
    def booking_closes_ms(self) -> int:
        return self.starts_ms - self.terms.booking_closes_min * MS_PER_MINUTE

    @property
    def doors_open_ms(self) -> int:
        return self.starts_ms - self.terms.doors_open_min * MS_PER_MINUTE

    @property
    def doors_close_ms(self) -> int:
        after = self.terms.doors_close_min
        return self.ends_ms if after is None else self.starts_ms + after * MS_PER_MINUTE

    @property
    def reminds_ms(self) -> int | None:
        """When people are reminded; None when they are not."""
        return self.starts_ms - self.terms.remind_min * MS_PER_MINUTE if self.terms.remind_min else None


class Offered(msgspec.Struct, frozen=True):
    """An offer as somebody sees it: how many have a place and how many wait, and their own booking, if one stands. `seated`: they
    are in its organisation."""

    offer: Offer
    confirmed: int
    waiting: int
    seated: bool = False
    booking: BookingId | None = None
    booking_state: Literal["confirmed", "waitlisted"] | None = None


class OfferQuery(msgspec.Struct, frozen=True):
    """Which offers: those that start from `from_ms` on and before `until_ms` (ms since 1970), of one coach, series, level, in the
    name of one organisation; that want one thing to be brought; with `free`, that have a place for a newcomer. `after`: only those
    behind this one."""

    from_ms: int
    until_ms: int | None = None
    coach: AccountId | None = None
    series: SeriesId | None = None
    organisation: OrganisationId | None = None
    level: Level | None = None
    equipment: str | None = None
    free: bool = False
    after: ClassId | None = None
    limit: int = 20


class OfferView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A class that can be booked. `confirmed` of the terms' capacity are taken, `waiting` wait. `booking` is your own, if one
    stands. `organisation`: what the one is called in whose name it is offered. Times are ms since 1970; they follow from the start
    and the terms; `booking_opens_at_ms` is when it opens for you."""

    id: ClassId
    state: Literal["offered", "called_off"]
    coach_id: AccountId
    coach_name: str
    starts_at_ms: int
    ends_at_ms: int
    booking_opens_at_ms: int
    booking_closes_at_ms: int
    doors_open_at_ms: int
    doors_close_at_ms: int
    terms: Terms
    confirmed: int
    waiting: int
    series: SeriesId | None = None
    organisation: str | None = None
    booking: BookingId | None = None
    booking_state: Literal["confirmed", "waitlisted"] | None = None


class Asked(msgspec.Struct, frozen=True):
    """What is known of somebody who asks to be let in: whether they have a place, whether they were in before, and whether they are
    in the organisation whose members alone the class is for."""

    booked: bool
    member: bool
    seated: bool = False


def checked(terms: Terms) -> Terms:
    """The terms as they are kept. Raises `BadShape` for terms that contradict themselves."""
    if terms.booking_closes_min >= terms.booking_opens_min:
        raise BadShape("booking would close before it opens", path="$.terms.booking_closes_min")
    if terms.doors_close_min is not None and terms.doors_close_min > terms.duration_min:
        raise BadShape("the doors would close after the end; null keeps them open", path="$.terms.doors_close_min")
    if len({thing.casefold() for thing in terms.equipment}) != len(terms.equipment):
        raise BadShape("name each thing once", path="$.terms.equipment")
    if terms.members != "all" and terms.organisation is None:
        raise BadShape("say which organisation's members these are, in `organisation`", path="$.terms.members")
    if terms.members == "first" and not terms.booking_closes_min < terms.others_open_min < terms.booking_opens_min:
        raise BadShape("others book after the members and before booking closes", path="$.terms.others_open_min")
    return msgspec.structs.replace(
        terms, title=terms.title.strip(), teams=team_names(terms.teams, path="$.terms.teams")
    )


def check_start(starts_ms: int, terms: Terms, now_ms: int) -> None:
    """Raise `BadShape` for a start that is too near for the doors to open, or too far away."""
    if starts_ms - terms.doors_open_min * MS_PER_MINUTE <= now_ms:
        raise BadShape("the doors of this class would have to be open already", path="$.starts_at_ms")
    if starts_ms > now_ms + MOST_AHEAD_DAYS * 24 * 60 * MS_PER_MINUTE:
        raise BadShape(f"a class is offered {MOST_AHEAD_DAYS} days ahead at most", path="$.starts_at_ms")


def may_change(offer: Offer, caller: Caller, now_ms: int) -> None:
    """Raise unless the caller gives this class, and its doors are still shut."""
    require(caller, may.CHANGE_OFFER, owned(offer.coach_id))
    if offer.called_off_ms is not None:
        raise ClassCalledOff
    if now_ms >= offer.doors_open_ms:
        raise OfferFixed


def may_call_off(offer: Offer, caller: Caller, now_ms: int) -> None:
    """Raise unless the caller gives this class, and its time is not over. Again is fine."""
    require(caller, may.CALL_OFF, owned(offer.coach_id))
    if offer.called_off_ms is None and now_ms >= offer.ends_ms:
        raise OfferFixed("this class has taken place")


def may_book(offer: Offer, caller: Caller, now_ms: int, *, seated: bool = False) -> None:
    """Raise unless the caller, who is in its organisation or not, may take a place, or one on the waitlist, now."""
    require_held(caller, may.BOOK)
    if offer.coach_id == caller.account_id:
        raise Forbidden("you give this class: your place in it is not one of those that are booked")
    if offer.called_off_ms is not None:
        raise ClassCalledOff
    opens_ms = offer.opens_ms(seated=seated)
    if not opens_ms <= now_ms < offer.booking_closes_ms:
        raise BookingShut(opens_at_ms=opens_ms, closes_at_ms=offer.booking_closes_ms)


def may_come_in(offer: Offer, caller: Caller, asked: Asked, now_ms: int) -> None:
    """Raise unless the caller is let into the room of the class that was offered.

    The coach and the screens of the class always are. Who is in already may come back when the doors are shut: a phone that lost
    its line is no newcomer.
    """
    if "display" in caller.roles or offer.coach_id == caller.account_id:
        return
    if offer.called_off_ms is not None:
        raise ClassCalledOff
    if offer.members_of is not None and not asked.seated:
        raise Forbidden("this class is for the members of its organisation, and you are none")
    if offer.terms.booked_only and not asked.booked:
        raise NotBooked
    if not asked.member and not offer.doors_open_ms <= now_ms < offer.doors_close_ms:
        raise DoorsShut(opens_at_ms=offer.doors_open_ms, closes_at_ms=offer.doors_close_ms)


def doors_due(offer: Offer, now_ms: int) -> bool:
    """Whether the doors are to be opened, when somebody says it is time: not if it was called off or put off since."""
    return offer.called_off_ms is None and offer.doors_open_ms - EARLY_MS <= now_ms < offer.ends_ms


def reminder_due(offer: Offer, now_ms: int) -> bool:
    """Whether people are to be reminded, when somebody says it is time: not once the class has begun."""
    reminds_ms = offer.reminds_ms
    if offer.called_off_ms is not None or reminds_ms is None:
        return False
    return reminds_ms - EARLY_MS <= now_ms < offer.starts_ms


def view_of(offered: Offered) -> OfferView:
    """An offer as people see it."""
    offer = offered.offer
    return OfferView(
        id=offer.id,
        state="offered" if offer.called_off_ms is None else "called_off",
        coach_id=offer.coach_id,
        coach_name=offer.coach_name,
        starts_at_ms=offer.starts_ms,
        ends_at_ms=offer.ends_ms,
        booking_opens_at_ms=offer.opens_ms(seated=offered.seated),
        booking_closes_at_ms=offer.booking_closes_ms,
        doors_open_at_ms=offer.doors_open_ms,
        doors_close_at_ms=offer.doors_close_ms,
        terms=offer.terms,
        confirmed=offered.confirmed,
        waiting=offered.waiting,
        series=offer.series_id,
        organisation=offer.organisation_name,
        booking=offered.booking,
        booking_state=offered.booking_state,
    )
