"""What a heat is: a short challenge that is ridden together, from a common start to a common end. Pure.

A heat is a challenge: its members, table, ties, score log and prizes are those of any other. What makes it one is its window. It
has a room, which is a live class that nobody leads; everybody in it says ready (services/classes/lobby.py), the class clock is
started with a countdown, and what is ridden from its first ms to its last counts, nothing else.

When a sample was made is what the server thinks of it: device time plus the smallest delay that its stream has ever had
(rooms/reading.py). No device can claim another time, and what comes out of a dead zone counts when it was ridden.

Metres are those of a counter, which says how far somebody has come and not when. What it has gone between two samples is held to
have been gone evenly, so of a step over the start or the end the part inside counts.

Whoever comes when it has begun is refused, or starts late: the end is the same for everybody.
"""

from typing import Final, Literal

import msgspec

from services.challenges.challenge import HeatTerms, Rules, Ties, names_of_teams
from services.classes.metric import Metric, minutes_from
from services.kernel.clock import utc
from services.kernel.ids import ChallengeId, ClassId
from services.kernel.problems import BadShape, ChallengeOver, ContradictoryChallenge, HeatBegun
from services.training.motion import MAX_SPEED_M_S, Counter, moving_since, stepped
from services.training.sample import Sample, held_ms
from services.training.zones import zone_of

HeatKind = Literal["effort", "zone_time", "distance"]
Late = Literal["starts_late", "refused"]

MOST_HEATS: Final = 3
"""Heats that are not closed and that one account has made: one that is ridden, one that settles, one that gathers."""
GATHER_MS: Final = 2 * 3_600_000
"""How long a heat waits to be started. After it, it is closed with an empty table."""
SWEEP_MS: Final = 60_000
"""After the end: by then phones have finished. What was not finished is scored as far as it has come."""
SETTLE_MS: Final = 10 * 60_000
"""After the end was noted: late data moves the table until then. Chosen: a walk out of the dead zone, and no evening of waiting."""
MS_PER_MINUTE: Final = 60_000


_MOST_A_MINUTE: Final[dict[HeatKind, int]] = {
    "effort": 5 * MS_PER_MINUTE,
    "zone_time": MS_PER_MINUTE,
    "distance": 60 * MAX_SPEED_M_S,
}
_MM: Final = 1_000


class Heat(msgspec.Struct, frozen=True):
    """Where a heat is. Wall clock, ms since 1970: it was made at `made_ms`, is ridden from `starts_ms` to `ends_ms`, both None
    while it gathers, and is closed at `closes_ms`, None until its end was noted. `code` is that of its room, the class
    `class_id`."""

    challenge_id: ChallengeId
    class_id: ClassId
    code: str
    made_ms: int
    starts_ms: int | None = None
    ends_ms: int | None = None
    closes_ms: int | None = None


class HeatView(msgspec.Struct, frozen=True):
    """What a challenge has beyond others when it is a heat. It is ridden in the room of the class `class_id`, which one joins by
    `class_code`. It lasts `length_ms`; with a `target`, in the unit of the table's values, whoever has it is done. `late` says what
    becomes of those who come in when it has begun. `starts_ms` and `ends_ms` are null while it gathers, until `gathers_until_ms` at
    most. `ready` members have said so, `waiting` are the names of the first who have not, `you_ready` is the caller."""

    class_id: ClassId
    class_code: str
    length_ms: int
    target: int | None
    late: Late
    starts_ms: int | None
    ends_ms: int | None
    gathers_until_ms: int
    ready: int
    waiting: tuple[str, ...]
    you_ready: bool


def heat_rules(
    kind: HeatKind,
    length_min: int,
    from_zone: int | None,
    target_in: float | None,
    ties: Ties,
    late: Late,
    now_ms: int,
    teams: tuple[str, ...] = (),
) -> Rules:
    """The rules of a heat that somebody makes now. `target_in` are points, minutes in the zone, or metres. Its only day is the UTC
    day on which it was made. Raises `ContradictoryChallenge`, with the path of what is wrong."""
    if (kind == "zone_time") != (from_zone is not None):
        raise ContradictoryChallenge("from_zone belongs to zone_time, and zone_time needs it", path="$.from_zone")
    unit = 1 if kind == "distance" else MS_PER_MINUTE
    target = None if target_in is None else round(target_in * unit)
    most = length_min * _MOST_A_MINUTE[kind]
    if target is not None and not 0 < target <= most:
        raise ContradictoryChallenge(
            f"nobody can have this in {length_min} minutes: {most // unit} is the most", path="$.target"
        )
    day = utc(now_ms).date()
    terms = HeatTerms(length_min * MS_PER_MINUTE, late == "starts_late", target)
    return Rules(kind, day, day, ties, from_zone, names_of_teams(teams), terms)


def board_metric(rules: Rules) -> Metric:
    """What the board of a heat's room is ranked by: what its table counts."""
    if rules.kind == "zone_time" and rules.from_zone is not None:
        return minutes_from(rules.from_zone)
    return "distance" if rules.kind == "distance" else "effort"


def require_open(heat: Heat, terms: HeatTerms, now_ms: int) -> None:
    """Raise unless a newcomer may come in: `HeatBegun` where they are refused once it has begun, `ChallengeOver` after its end."""
    if heat.starts_ms is None or heat.ends_ms is None:
        return
    if now_ms >= heat.ends_ms:
        raise ChallengeOver
    if not terms.late:
        raise HeatBegun


def require_gathering(heat: Heat) -> None:
    """Raise `HeatBegun` when it has a start already."""
    if heat.starts_ms is not None:
        raise HeatBegun


def terms_of(rules: Rules) -> HeatTerms:
    """The terms of a challenge that is a heat. Raises `BadShape` for any other."""
    if not isinstance(rules.heat, HeatTerms):
        raise BadShape("this challenge is no heat: it goes by days", path="$.id")
    return rules.heat


class HeatTrace:
    """What a workout is worth in a heat, from its samples in the order of their sequence numbers. `offset_ms` makes wall clock of
    device time. `value` in the unit of the rules; `began_ms` and `reached_ms` are when it first counted, and when the value was
    reached: wall clock, None while nothing counts."""

    def __init__(self, rules: Rules, max_hr: int, offset_ms: int, from_ms: int, until_ms: int) -> None:
        self.value = 0
        self.began_ms: int | None = None
        self.reached_ms: int | None = None
        self._target: Final = terms_of(rules).target
        self._from_zone: Final = rules.from_zone if rules.kind == "zone_time" else None
        self._max_hr: Final = max_hr
        self._offset_ms: Final = offset_ms
        self._from_ms: Final = from_ms
        self._until_ms: Final = until_ms
        self._last: Sample | None = None
        self._metres: Final = rules.kind == "distance"
        self._counter: Counter | None = None
        self._mm = 0

    def add(self, sample: Sample) -> None:
        """The next sample."""
        if self._metres:
            self._go(sample)
        else:
            self._beat(sample)

    def _go(self, sample: Sample) -> None:
        if sample.motion is None or sample.motion.distance_m is None:
            return
        before = self._counter
        self._counter, step_m = stepped(before, sample.t, sample.motion.distance_m)
        if before is None or step_m <= 0 or self.value == self._target:
            return
        from_ms = moving_since(before) + self._offset_ms
        took_ms = sample.t + self._offset_ms - from_ms
        begins = max(from_ms, self._from_ms)
        ends = min(from_ms + took_ms, self._until_ms)
        if ends <= begins:
            return
        gone = [step_m * _MM * (at_ms - from_ms) // took_ms for at_ms in (begins, ends)]
        self.began_ms = begins if self.began_ms is None else self.began_ms
        self.reached_ms = ends
        if self._target is not None and self._mm + gone[1] - gone[0] >= self._target * _MM:
            lacking = self._target * _MM - self._mm + gone[0]
            self.reached_ms = min(from_ms - (-lacking * took_ms // (step_m * _MM)), ends)
            self.value = self._target
            return
        self._mm += gone[1] - gone[0]
        self.value = self._mm // _MM

    def _beat(self, sample: Sample) -> None:
        last, self._last = self._last, sample
        if last is None or last.bpm is None:
            return
        at_ms = last.t + self._offset_ms
        begins, ends = max(at_ms, self._from_ms), min(at_ms + held_ms(last.t, sample.t), self._until_ms)
        worth = self._worth(zone_of(last.bpm, self._max_hr))
        if ends <= begins or not worth or self.value == self._target:
            return
        self.began_ms = begins if self.began_ms is None else self.began_ms
        gained = worth * (ends - begins)
        if self._target is not None and self.value + gained >= self._target:
            self.reached_ms = begins - (self.value - self._target) // worth
            self.value = self._target
        else:
            self.reached_ms = ends
            self.value += gained

    def _worth(self, zone: int) -> int:
        """Of one ms in a zone."""
        return zone if self._from_zone is None else int(zone >= self._from_zone)
