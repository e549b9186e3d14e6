"""What a live class is, and who may do what in it. Pure: no clock, no store.

A class is live from its creation until its coach ends it. A heat (services/challenges/heat.py) is ridden in a class that nobody
leads: it has no coach, and the clock ends it. Its join code is what people read off a wall: short, without
letters that look like digits, upper or lower case alike.
"""

import uuid
from typing import Final, Literal

import msgspec

from services.access import permission as may
from services.access.decision import Thing
from services.access.permission import Permission, Place
from services.access.policy import NOTHING, require
from services.classes.metric import Metric
from services.classes.showing import Showing
from services.classes.team import TeamRule
from services.kernel.caller import Caller
from services.kernel.ids import AccountId, ClassId, OnDemandId
from services.kernel.problems import ClassOver, Forbidden

CODE_ALPHABET: Final = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""No I, L, O, 0, 1: read aloud or off a screen across a hall they are mistaken for each other."""
CODE_LENGTH: Final = 6
MAX_MEMBERS: Final = 2_500
"""Members of one class, spectators included. Chosen: the largest class the benchmarks hold, over two nodes, and a quarter more."""

Role = Literal["coach", "athlete", "spectator"]

NOBODY: Final = AccountId(uuid.UUID(int=0))
"""The coach of a class that nobody leads: no account has this id."""


_TO_JOIN: Final[dict[Role, Permission]] = {
    "coach": may.JOIN_TO_LEAD,
    "athlete": may.JOIN_TO_RIDE,
    "spectator": may.JOIN_TO_WATCH,
}


class GroupTerms(msgspec.Struct, frozen=True):
    """What makes a class one without a coach (on_demand.py): what it was started of; so many may be in it; newcomers are let in so
    many minutes after it has begun."""

    on_demand_id: OnDemandId
    places: int
    late_min: int


class LiveClass(msgspec.Struct, frozen=True):
    """A class. `created_ms`, `ended_ms` wall clock, ms since 1970; `ended_ms` None while it is live. `co_coach_ids` lead it beside
    its coach (leading.py); `coaches_n` counts the changes of who leads. `needs`: the entitlement without which nobody is let in. In
    a `heat` only counts what is ridden while the class clock runs; `coach_id` is then `NOBODY`. Its board is ranked by `metric`;
    `ranking_n` counts the changes of that. Its athletes are in `teams`, if it has any (team.py). With `group` nobody coaches
    it, and `coach_id` is who has started it."""

    id: ClassId
    code: str
    title: str
    coach_id: AccountId
    coach_name: str
    created_ms: int
    ended_ms: int | None = None
    co_coach_ids: tuple[AccountId, ...] = ()
    coaches_n: int = 0
    needs: str | None = None
    heat: bool = False
    metric: Metric = "effort"
    ranking_n: int = 0
    group: GroupTerms | None = None
    teams: tuple[str, ...] = ()

    @property
    def team_rule(self) -> TeamRule:
        """What a team's figure is (team.py): in a heat what its table counts."""
        return "sum" if self.heat else "mean"

    @property
    def over(self) -> bool:
        return self.ended_ms is not None

    def is_led_by(self, account_id: AccountId) -> bool:
        """Whether this is somebody who leads the class; nobody leads one without a coach."""
        if self.group is not None:
            return False
        return account_id == self.coach_id or account_id in self.co_coach_ids


class Membership(msgspec.Struct, frozen=True):
    """An account in a class. `n` is its number on the board; `feed_epoch` counts the streams opened for it; `first`: it has
    been an athlete in no earlier class; `removals` counts how often it was sent out and let back in, odd while it is out;
    `showing` how it is shown, None when nothing was ever decided; `baseline` what its improvement is measured by (metric.py);
    `team` an index into the teams of the class."""

    account_id: AccountId
    name: str
    n: int
    role: Role
    feed_epoch: int = 0
    first: bool = False
    removals: int = 0
    showing: Showing | None = None
    baseline: int | None = None
    team: int | None = None

    @property
    def removed(self) -> bool:
        """Whether it was sent out, and not let back in."""
        return is_out(self.removals)


def is_out(removals: int) -> bool:
    """Whether somebody who was sent out and let back in so often, in all, is out."""
    return removals % 2 == 1


def code_from(numbers: bytes) -> str:
    """A join code from random bytes (at least `CODE_LENGTH` of them)."""
    return "".join(CODE_ALPHABET[number % len(CODE_ALPHABET)] for number in numbers[:CODE_LENGTH])


def normal_code(code: str) -> str:
    """The code as stored, from what somebody typed."""
    return code.strip().upper()


def role_after(was: Role, asked: Role) -> Role:
    """The role of a member who comes in again: the one asked for, except that who has sweated is no mere spectator afterwards."""
    return "athlete" if (was, asked) == ("athlete", "spectator") else asked


def place_of(live: LiveClass, account_id: AccountId, membership: Membership | None = None) -> Place:
    """How an account stands to a class; without its `membership` only whether it leads it, or has started it."""
    if live.coach_id == account_id:
        return "coach" if live.group is None else "starter"
    if live.is_led_by(account_id):
        return "co_coach"
    if membership is None or membership.role == "coach":
        # Who led a class and does no longer is in it all the same.
        return "none" if membership is None else "spectator"
    return membership.role


def thing_of(live: LiveClass, caller: Caller, membership: Membership | None = None, *, over: bool = False) -> Thing:
    """A class as policy judges it (services/access/policy.py). `over`: what is asked for may be done though it has ended."""
    return Thing(
        class_id=live.id,
        place=place_of(live, caller.account_id, membership),
        led=live.group is None,
        out=membership is not None and membership.removed,
        over=live.over and not over,
    )


def may_enter(live: LiveClass, caller: Caller, role: Role, *, over: bool = False) -> None:
    """Raise `ClassOver` or `Forbidden` unless `caller` may be in the room in this role. `over`: though the class has ended.

    Anybody with an account who knows the code may join as athlete or spectator; coach is whoever leads the class, and never an
    app; a display watches its one class.
    """
    thing = thing_of(live, caller, over=over)
    if thing.over:
        raise ClassOver(class_id=str(live.id))
    if "display" in caller.roles:
        require(caller, may.SHOW_CLASS, thing if role == "spectator" else NOTHING)
        return
    require(caller, _TO_JOIN[role], thing)
    if role == "coach" and caller.scopes is not None:
        raise Forbidden("a class is led by a person, not by an app or a script: join as athlete or spectator")


def may_know(live: LiveClass, caller: Caller, membership: Membership | None) -> None:
    """Raise `ClassNotFound` unless `caller` is the coach of this class, a member, or one of its screens: its code can be read from
    it, and the code lets in. Ids are no secret, they stand in what is offered to everybody. Who was sent out knows that there is a
    class, but reads it no longer: `RemovedFromClass`."""
    require(
        caller, may.READ_CLASS, thing_of(live, caller, None if "display" in caller.roles else membership, over=True)
    )


def may_put_on_screen(live: LiveClass, caller: Caller, membership: Membership | None) -> None:
    """Raise unless `caller` is in this class, which is live: whoever is in it has its code, and the code opens a screen."""
    require(caller, may.PUT_ON_SCREEN, thing_of(live, caller, membership))


def may_feed(live: LiveClass, caller: Caller, membership: Membership | None) -> None:
    """Raise `Forbidden` for one who has come to watch: nobody is put on a board by a device that still knows a code."""
    if membership is not None and membership.role == "spectator":
        require(caller, may.FEED_CLASS, thing_of(live, caller, membership, over=True), path="$.class_code")


def may_control(live: LiveClass, caller: Caller) -> None:
    """Raise unless `caller` leads this class, in person, and it is still live."""
    require(caller, may.CONTROL_CLASS, thing_of(live, caller))


def may_script(live: LiveClass, caller: Caller) -> None:
    """Raise unless `caller` is the coach of this class, in person, and it is still live: a co-coach follows the script."""
    require(caller, may.SCRIPT_CLASS, thing_of(live, caller))


def may_end(live: LiveClass, caller: Caller) -> None:
    """Raise unless `caller` is the coach of this class, or has started it, and it is still live."""
    require(caller, may.END_CLASS, thing_of(live, caller))
