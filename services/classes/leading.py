"""Who leads a class, and what that lets them do to others. Pure.

A class has one coach and some co-coaches, members whom the coach has asked to help. All of them see the cockpit, give cues,
control the clock, drive trainers, send athletes out and let them back in. Only the coach ends the class, replaces its script, and
decides who leads it; so a co-coach can never lock the coach out, nor let in whom the coach has sent out.
"""

from typing import Final, Literal

import msgspec

from services.access import permission as may
from services.access.decision import Decision, Reason, Thing
from services.access.policy import decide, require
from services.classes.coach_plan import CoachPlan
from services.classes.live_class import LiveClass, Role, place_of, thing_of
from services.classes.showing import Showing, public_name, shows_heart_rate
from services.kernel.caller import Caller
from services.kernel.ids import AccountId
from services.kernel.problems import ClassOver, Forbidden, NotACoach, TooManyCoCoaches

MAX_CO_COACHES: Final = 8
"""Chosen: a hall with a coach on each side has four."""

Appointment = Literal["coach", "co_coach", "none"]
"""coach: the class is handed over to them, and who gives it away becomes a co-coach; none: they lead no longer."""
Leads = Literal["coach", "co_coach"]


class Out(msgspec.Struct, frozen=True):
    """That a member was sent out, and `by` whom; None when that account is gone, and when it was staff."""

    by: AccountId | None


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is or was in a class. `is_coach`: the account is a coach's; `removed`: sent out, and not let back in; `muted`
    until `muted_until_ms` (wall, ms since 1970), None for the rest of the class."""

    n: int
    account_id: AccountId
    name: str
    role: Role
    is_coach: bool
    removed: bool
    muted: bool
    muted_until_ms: int | None
    showing: Showing


class PersonView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody who is or was in the class, as those who lead it see them. `n` their number in it; `leads` it as its coach or a
    co-coach, `can_lead` it because the account is a coach's; `removed`: sent out, and not let back in; `muted` until
    `muted_until_ms` (ms since 1970), for the rest of the class without. `heart_rate`: whether you may see theirs, live, and if not,
    why. Who hides from the coach, too, goes by their number or alias."""

    n: int
    name: str
    role: Role
    heart_rate: Reason
    leads: Leads | None = None
    can_lead: bool = False
    removed: bool = False
    muted: bool = False
    muted_until_ms: int | None = None


def may_appoint(live: LiveClass, caller: Caller) -> None:
    """Raise unless `caller` is the coach of this class, in person, and it is still live; one without a coach gets none."""
    require(caller, may.APPOINT, thing_of(live, caller))


def appointed(live: LiveClass, account_id: AccountId, to: Appointment, *, is_coach: bool) -> LiveClass:
    """The class after an appointment of one of its members; the same one when it changes nothing. `is_coach`: the account is a
    coach's. Raises `NotACoach`, `TooManyCoCoaches`, and `Forbidden` for the coach, who can only hand over."""
    others = tuple(each for each in live.co_coach_ids if each != account_id)
    if account_id == live.coach_id:
        if to == "coach":
            return live
        raise Forbidden("a class has a coach: hand it over to somebody first", path="$.n")
    match to:
        case "none":
            coach_id, co_coach_ids = live.coach_id, others
        case "co_coach":
            coach_id, co_coach_ids = live.coach_id, (*others, account_id)
        case "coach":
            coach_id, co_coach_ids = account_id, (*others, live.coach_id)
    if set(co_coach_ids) == set(live.co_coach_ids) and coach_id == live.coach_id:
        return live
    if to != "none" and not is_coach:
        raise NotACoach(path="$.n")
    if len(co_coach_ids) > MAX_CO_COACHES:
        raise TooManyCoCoaches(limit=MAX_CO_COACHES)
    return msgspec.structs.replace(live, coach_id=coach_id, co_coach_ids=co_coach_ids, coaches_n=live.coaches_n + 1)


def may_remove(live: LiveClass, caller: Caller, account_id: AccountId) -> None:
    """Raise unless `caller` leads this class, it is still live, and `account_id` is somebody they may send out: nobody who
    leads it, but that the coach may send out a co-coach."""
    require(caller, may.REMOVE_MEMBER, thing_of(live, caller))
    if account_id == live.coach_id:
        raise Forbidden("nobody sends the coach out", path="$.n")
    if account_id in live.co_coach_ids and caller.account_id != live.coach_id:
        raise Forbidden("only the coach sends a co-coach out", path="$.n")


def staff_may_remove(live: LiveClass, account_id: AccountId) -> None:
    """Raise unless staff may send this member out: anybody but the coach, without whom there is no class."""
    if live.over:
        raise ClassOver(class_id=str(live.id))
    if live.group is None and account_id == live.coach_id:
        raise Forbidden("nobody sends the coach out: end the class", path="$.n")


def may_let_in(live: LiveClass, caller: Caller, out: Out) -> None:
    """Raise unless `caller` leads this class, it is still live, and they may let in somebody who is `out`: the coach anybody, a
    co-coach nobody whom the coach has sent out."""
    require(caller, may.LET_IN, thing_of(live, caller))
    if caller.account_id != live.coach_id and out.by in (None, live.coach_id):
        raise Forbidden("the coach has sent them out, so only the coach lets them back in", path="$.n")


def may_see_people(live: LiveClass, caller: Caller) -> None:
    """Raise unless `caller` leads this class, in person; after it has ended, too."""
    require(caller, may.SEE_PEOPLE, thing_of(live, caller, over=True))


def may_see_heart_rate(live: LiveClass, caller: Caller, showing: Showing | None, plan: CoachPlan) -> Decision:
    """Whether `caller`, with this plan, sees the raw heart rate of a member who is shown like this, live, and why."""
    place = place_of(live, caller.account_id)
    consent = shows_heart_rate(showing)
    thing = Thing(
        class_id=live.id,
        place=place,
        over=live.over,
        consent=consent,
        plan=plan.holds,
        needs=plan.needs,
        lacks=plan.lacks,
    )
    return decide(caller, may.SEE_HEART_RATE, thing)


def person_view(live: LiveClass, caller: Caller, person: Person, plan: CoachPlan, now_ms: int) -> PersonView:
    """Somebody as those who lead the class see them."""
    leads: Leads | None = None
    if live.is_led_by(person.account_id):
        leads = "coach" if person.account_id == live.coach_id else "co_coach"
    hides = leads is None and person.showing.mode == "hidden"
    muted = person.muted and (person.muted_until_ms is None or now_ms < person.muted_until_ms)
    return PersonView(
        n=person.n,
        name=public_name(person.showing, person.n, person.name) if hides else person.name,
        role=person.role,
        heart_rate=may_see_heart_rate(live, caller, person.showing, plan).reason,
        leads=leads,
        can_lead=person.is_coach,
        removed=person.removed,
        muted=muted,
        muted_until_ms=person.muted_until_ms if muted else None,
    )
