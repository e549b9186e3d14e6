"""A class on demand: a script that lies ready, and the classes that groups start of it, without a coach. Pure.

What a coach has put on demand (`OnDemand`) is a script with its terms. Whoever may start one gets a live class with a join code, to
be shared with others, in which nobody coaches: the clock leads. So nobody sees more of anybody than the room does, nobody is told
of an incident as a coach, and nobody gives cues; who started it may start, pause and resume the clock for everybody, and end the
class. It waits in a lobby (lobby.py) until all who are there are ready or its starter says so, and begins after a countdown that
everybody sees.

It ends by itself (`ends_ms`): a minute after the script, and where nothing goes on, after an hour. That is planned as a fact told
later whenever the clock moves, so it needs no node that remembers.
"""

from typing import Annotated, Final

import msgspec

from services.access import permission as may
from services.access.policy import owned, require
from services.accounts.entitlement import EntitlementName
from services.classes.class_clock import ClassClock, Command, Pause, Resume, Start, server_ms_of
from services.classes.live_class import GroupTerms, LiveClass, thing_of
from services.classes.lobby import COUNTDOWN_MS, shuts_ms
from services.classes.offer import Level, Thing, Title
from services.classes.team import TeamNames
from services.classes.timeline import Timeline
from services.kernel.caller import Caller
from services.kernel.ids import AccountId, OnDemandId
from services.kernel.problems import DoorsShut, Forbidden

MOST_PLACES: Final = 100
"""Of a class without a coach. By feeling: more people than know each other."""
MOST_AT_ONCE: Final = 3
"""Classes that one person may have started and not ended."""
RESUME_MS: Final = 5_000
"""The countdown after a pause: everybody is on the saddle already."""
AFTER_MS: Final = 60_000
"""Between the end of the script and that of the class: for what phones have not sent yet."""
IDLE_MS: Final = 3_600_000
"""How long a lobby waits, and a pause lasts. By feeling: nobody who went away for an hour comes back to the same ride."""


class OnDemandTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is on demand. `places`: so many may be in one class of it; `late_min`: newcomers are let in so many minutes after it has
    begun; `needs`: the entitlement without which nobody starts one or is let in; `equipment` what one should bring; `teams` those
    of a class whose starter names none."""

    title: Title
    places: Annotated[int, msgspec.Meta(ge=1, le=MOST_PLACES)] = 20
    late_min: Annotated[int, msgspec.Meta(ge=0, le=120)] = 5
    level: Level = "all"
    equipment: Annotated[tuple[Thing, ...], msgspec.Meta(max_length=10)] = ()
    needs: EntitlementName | None = None
    teams: TeamNames = ()


class OnDemand(msgspec.Struct, frozen=True):
    """A script on demand as stored; the script itself lies beside it. `duration_ms` of class time; instants in ms since 1970."""

    id: OnDemandId
    coach_id: AccountId
    coach_name: str
    terms: OnDemandTerms
    duration_ms: int
    created_ms: int
    withdrawn_ms: int | None = None


class OnDemandView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A class on demand: start one, and share its code. `duration_ms` of the script; `withdrawn`: none can be started any more."""

    id: OnDemandId
    coach_id: AccountId
    coach_name: str
    terms: OnDemandTerms
    duration_ms: int
    created_at_ms: int
    withdrawn: bool = False


def may_withdraw(on_demand: OnDemand, caller: Caller) -> None:
    """Raise unless the caller has put it on demand."""
    require(caller, may.WITHDRAW_ON_DEMAND, owned(on_demand.coach_id))


def may_run(live: LiveClass, caller: Caller, command: Command) -> None:
    """Raise unless the caller has started this class without a coach, and asks for what its clock does: start, pause, resume."""
    require(caller, may.RUN_CLASS, thing_of(live, caller))
    if not isinstance(command, Start | Pause | Resume):
        raise Forbidden("a class without a coach follows its script: start, pause and resume it", path="$.do")


def counted_down(command: Command) -> Command:
    """The command as it is done in a class without a coach: never without a countdown, because nobody calls one out."""
    match command:
        case Start(in_ms=in_ms):
            return Start(in_ms=max(in_ms, COUNTDOWN_MS))
        case Resume(in_ms=in_ms):
            return Resume(in_ms=max(in_ms, RESUME_MS))
        case _:
            return command


def may_come_late(live: LiveClass, group: GroupTerms, timeline: Timeline, now_ms: int) -> None:
    """Raise `DoorsShut` for a newcomer who is later than a class without a coach allows. Before it begins everybody is in time."""
    begun_ms = timeline.begun_ms
    closes_ms = shuts_ms(begun_ms, group.late_min)
    if closes_ms is not None and now_ms >= closes_ms:
        raise DoorsShut(opens_at_ms=live.created_ms, closes_at_ms=closes_ms)


def ends_ms(clock: ClassClock, created_ms: int) -> int:
    """When a class without a coach ends by itself, as things stand."""
    if clock.state == "running":
        through_ms = server_ms_of(clock, clock.duration_ms)
        return (clock.at_ms if through_ms is None else through_ms) + AFTER_MS
    return (created_ms if clock.state == "waiting" else clock.at_ms) + IDLE_MS


def view_of(on_demand: OnDemand) -> OnDemandView:
    """A class on demand as people see it."""
    return OnDemandView(
        id=on_demand.id,
        coach_id=on_demand.coach_id,
        coach_name=on_demand.coach_name,
        terms=on_demand.terms,
        duration_ms=on_demand.duration_ms,
        created_at_ms=on_demand.created_ms,
        withdrawn=on_demand.withdrawn_ms is not None,
    )
