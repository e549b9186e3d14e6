"""Who leads a class, and what that lets them do to others. Pure.

A class has one coach and some co-coaches, members whom the coach has asked to help. All of them see the cockpit, give cues,
control the clock, drive trainers and send athletes out. Only the coach ends the class, replaces its script, and decides who
leads it; so a co-coach can never lock the coach out.
"""

from typing import Final, Literal

import msgspec

from services.classes.live_class import LiveClass
from services.kernel.caller import Caller
from services.kernel.ids import AccountId
from services.kernel.problems import ClassOver, Forbidden, NotACoach, TooManyCoCoaches

MAX_CO_COACHES: Final = 8
"""Chosen: a hall with a coach on each side has four."""

Appointment = Literal["coach", "co_coach", "none"]
"""coach: the class is handed over to them, and who gives it away becomes a co-coach; none: they lead no longer."""


def may_appoint(live: LiveClass, caller: Caller) -> None:
    """Raise unless `caller` is the coach of this class, in person, and it is still live."""
    if live.coach_id != caller.account_id or "display" in caller.roles:
        raise Forbidden("only the coach of this class decides who leads it")
    if live.over:
        raise ClassOver(class_id=str(live.id))


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
    if not live.is_led_by(caller.account_id) or "display" in caller.roles:
        raise Forbidden("only who leads this class may send somebody out")
    if live.over:
        raise ClassOver(class_id=str(live.id))
    if account_id == live.coach_id:
        raise Forbidden("nobody sends the coach out", path="$.n")
    if account_id in live.co_coach_ids and caller.account_id != live.coach_id:
        raise Forbidden("only the coach sends a co-coach out", path="$.n")
