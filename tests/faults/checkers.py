"""What a history proves. Pure: a history in, counts and findings out; test_checkers.py has a hand-made history for every fault.

    samples      acknowledged ⊆ stored ⊆ sent, nothing twice, in order (Jepsen's set-full)
    events       each member is owed every message that was accepted for its room while it was in there: lost, twice, out of order,
                 late. A loss that the server has told ("start again") is a loss; one that it has not told is a *silent gap*
    boards       some seconds after the fault is over every board shows what devices send now, and is the server's own; whatever the
                 fault, a board goes forward, never back
    leaks        every message names its room; a client that is not in there must not have it
    tasks        every fact that was told has its effect once for every queue that wants it; what nobody can handle, and nothing
                 else, is parked with a reason
    recovery     how long until every node said that it was ready, and stayed it
    load         memory, descriptors and tasks as before

A timed-out operation may have happened once or not at all: it is owed to nobody and may be seen by everybody.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from tests.faults.history import (
    Effect,
    FactTold,
    Fault,
    Framed,
    Handed,
    Heard,
    History,
    Joined,
    Left,
    Load,
    Look,
    Lost,
    Op,
    Parked,
    Poisoned,
    Ready,
    RowSeen,
    Stored,
)
from tests.torture.soak import slope

LATE_S: Final = 5.0
"""A message may take this long from its acceptance, or from the end of the fault, or from the member's return."""
FRESH_S: Final = 5.0
"""Within this after the end of a fault every board shows the present."""
OLD_S: Final = 3.0
"""A reading older than this is not the present: a board must not show it as live (rooms/board.py says the same)."""
SENDING_S: Final = 2.0
"""A device whose sample was acknowledged within this is sending, and its row must be live."""
RSS_TOLERANCE_KB: Final = 8 * 1024
FDS_TOLERANCE: Final = 3
"""A pool may have opened a connection more than it had."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table. `lost`: acknowledged samples; `missed`: messages that were owed and never came, of which `silent_gaps`
    were not told. Of tasks: `facts` told, the `effects` that are owed for them, of which `undone` are not there and `redone` there
    again, `handed` how often handlers were called for them, `parked` what was given up. `recovery_s` None: not ready again;
    `rss_slope_kb_per_s` of all nodes together, by least squares."""

    sent: int = 0
    acknowledged: int = 0
    stored: int = 0
    said: int = 0
    heard: int = 0
    lost: int = 0
    missed: int = 0
    duplicated: int = 0
    reordered: int = 0
    late: int = 0
    silent_gaps: int = 0
    stale_boards: int = 0
    leaks: int = 0
    facts: int = 0
    effects: int = 0
    undone: int = 0
    redone: int = 0
    handed: int = 0
    parked: int = 0
    recovery_s: float | None = 0.0
    rss_slope_kb_per_s: float = 0.0
    findings: tuple[str, ...] = ()


def check(history: History, *, recovery_limit_s: float = 30.0) -> Counts:
    """Everything that can be said about a history."""
    parts = [samples(history), events(history), boards(history), leaks(history), tasks(history)]
    parts += [recovery(history, recovery_limit_s), load(history)]
    numbers: Counter[str] = Counter()
    for part in parts:
        for name in _ADDED:
            numbers[name] += getattr(part, name)
    return Counts(
        **{name: numbers[name] for name in _ADDED},
        recovery_s=parts[5].recovery_s,
        rss_slope_kb_per_s=parts[6].rss_slope_kb_per_s,
        findings=tuple(finding for part in parts for finding in part.findings),
    )


_ADDED: Final = (
    *("sent", "acknowledged", "stored", "said", "heard", "lost", "missed"),
    *("duplicated", "reordered", "late", "silent_gaps", "stale_boards", "leaks"),
    *("facts", "effects", "undone", "redone", "handed", "parked"),
)


# -- samples ------------------------------------------------------------------------------------------------------------------


def samples(history: History) -> Counts:
    """Nothing acknowledged is lost, nothing is stored that was not sent, nothing is stored twice, and all of it in order."""
    sent, acknowledged = defaultdict[str, set[int]](set), defaultdict[str, set[int]](set)
    for op in history.of(Op):
        if op.kind == "sample":
            if op.outcome == "invoke":
                sent[op.who].add(op.value)
            elif op.outcome == "ok":
                acknowledged[op.who].add(op.value)
    stored = {entry.who: entry.samples for entry in history.of(Stored)}
    lost = duplicated = reordered = 0
    findings = []
    for device in sent:
        if device not in stored:
            findings.append(f"{device}: what is stored of it could not be read")
            continue
        have = stored[device]
        missing = acknowledged[device] - set(have)
        invented = set(have) - sent[device]
        again = len(have) - len(set(have))
        back = sum(one > other for one, other in pairwise(have))
        lost, duplicated, reordered = lost + len(missing), duplicated + again, reordered + back
        if missing:
            findings.append(
                f"{device}: {len(missing)} acknowledged samples are not stored, the first is {min(missing)}"
            )
        if again:
            findings.append(f"{device}: {again} samples are stored twice")
        if back:
            findings.append(f"{device}: samples are stored out of order, {back} times")
        if invented:
            findings.append(f"{device}: {len(invented)} samples are stored that it never sent")
    return Counts(
        sent=sum(map(len, sent.values())),
        acknowledged=sum(map(len, acknowledged.values())),
        stored=sum(map(len, stored.values())),
        lost=lost,
        duplicated=duplicated,
        reordered=reordered,
        findings=tuple(findings),
    )


# -- events ---------------------------------------------------------------------------------------------------------------------


class _Cue(msgspec.Struct):
    """A message of a room: when it was begun, and when and how that ended."""

    room: str
    value: int
    began: float
    ended: float | None = None
    outcome: str = "invoke"
    position: str | None = None


class _Member(msgspec.Struct):
    """What one member has seen of its room."""

    room: str
    since: float
    heard: list[Heard] = []
    told: list[Joined] = []
    back: list[float] = []
    until: float = math.inf


def events(history: History) -> Counts:
    """Each member's messages against what was accepted for its room."""
    cues: dict[int, _Cue] = {}
    members: dict[tuple[str, str], _Member] = {}
    for entry in history:
        match entry:
            case Op(kind="cue", outcome="invoke"):
                cues[entry.op] = _Cue(entry.room, entry.value, entry.t)
            case Op(kind="cue"):
                cue = cues[entry.op]
                cue.ended, cue.outcome, cue.position = entry.t, entry.outcome, entry.position
            case Joined(how="first"):
                members.setdefault((entry.who, entry.room), _Member(entry.room, entry.t, [], [], [entry.t]))
            case Joined() if (entry.who, entry.room) in members:
                member = members[entry.who, entry.room]
                member.back.append(entry.t)
                if entry.how == "restart":
                    member.told.append(entry)
            case Left():
                for (who, _), member in members.items():
                    if who == entry.who:
                        member.until = entry.t
            case Heard() if (entry.who, entry.room) in members:
                members[entry.who, entry.room].heard.append(entry)
            case _:
                pass
    by_room = defaultdict[str, dict[int, _Cue]](dict)
    for cue in cues.values():
        by_room[cue.room][cue.value] = cue
    healed = [fault.t for fault in history.of(Fault) if not fault.began]
    parts = [_one_member(who, member, by_room[member.room], healed) for (who, _), member in members.items()]
    return Counts(
        said=sum(cue.outcome == "ok" for cue in cues.values()),
        heard=sum(len(member.heard) for member in members.values()),
        missed=sum(part.missed for part in parts),
        duplicated=sum(part.duplicated for part in parts),
        reordered=sum(part.reordered for part in parts),
        late=sum(part.late for part in parts),
        silent_gaps=sum(part.silent_gaps for part in parts),
        findings=tuple(finding for part in parts for finding in part.findings),
    )


def _one_member(who: str, member: _Member, cues: dict[int, _Cue], healed: Sequence[float]) -> Counts:
    times = Counter(message.value for message in member.heard)
    owed = [cue for cue in cues.values() if cue.outcome == "ok" and cue.began > member.since and _in_time(cue, member)]
    lost = [cue for cue in owed if not times[cue.value]]
    silent = [cue for cue in lost if not any(_covers(restart, cue) for restart in member.told)]
    again = sum(count - 1 for count in times.values())
    findings = []
    refused = [value for value in times if (cue := cues.get(value)) is not None and cue.outcome == "fail"]
    if refused:
        findings.append(f"{who}: heard message {refused[0]}, which had been refused")
    if unsaid := [value for value in times if value not in cues]:
        findings.append(f"{who}: heard message {unsaid[0]}, which nobody said")
    if silent:
        findings.append(f"{who}: {len(silent)} messages never came and nobody said so, the first is {silent[0].value}")
    back = sum(_went_back(one, other) for one, other in pairwise(member.heard))
    late = sum(_late(message, cues.get(message.value), member, healed) for message in member.heard)
    return Counts(
        missed=len(lost),
        duplicated=again,
        reordered=back,
        late=late,
        silent_gaps=len(silent),
        findings=tuple(findings),
    )


def _in_time(cue: _Cue, member: _Member) -> bool:
    """Whether it was accepted so long before the member left that it had to be there by then."""
    return cue.ended is not None and cue.ended + LATE_S <= member.until


def _covers(restart: Joined, cue: _Cue) -> bool:
    """Whether "start again" stood for this message: it was in the log by then. Where positions do not tell, the clock does."""
    if restart.position is not None and cue.position is not None:
        (epoch, offset), (its_epoch, its_offset) = _parts(restart.position), _parts(cue.position)
        if epoch == its_epoch:
            return its_offset <= offset
    return cue.began <= restart.t


def _went_back(one: Heard, other: Heard) -> bool:
    """In a new epoch counting begins anew. Without positions, the numbers themselves are in order, since whoever speaks waits for
    each answer."""
    if one.position is None or other.position is None:
        return other.value < one.value
    (epoch, offset), (its_epoch, its_offset) = _parts(one.position), _parts(other.position)
    return epoch == its_epoch and its_offset < offset


def _parts(position: str) -> tuple[str, str]:
    """Epoch and offset of a position, `epoch-offset`; the offset has a fixed width, so texts compare like numbers."""
    epoch, _, offset = position.rpartition("-")
    return epoch, offset


def _late(message: Heard, cue: _Cue | None, member: _Member, healed: Sequence[float]) -> bool:
    if cue is None or cue.ended is None:
        return False
    excuses = [cue.ended, *(t for t in (*healed, *member.back) if t <= message.t)]
    return message.t - max(excuses) > LATE_S


# -- boards ---------------------------------------------------------------------------------------------------------------------


def boards(history: History) -> Counts:
    """Boards go forward, and show the present once the fault has been over for a while."""
    duplicated = reordered = stale = 0
    findings: list[str] = []
    at: dict[tuple[str, str], tuple[str, int]] = {}
    for frame in history.of(Framed):
        where = (frame.who, frame.room)
        epoch, v = at.get(where, ("", -1))
        if not frame.snapshot and epoch == frame.epoch:
            duplicated += frame.v == v
            reordered += frame.v < v
            if frame.v <= v:
                findings.append(f"{frame.who}: version {frame.v} of its board came after version {v}")
        at[where] = (frame.epoch, frame.v)
    sent = {(op.who, op.value): op.t for op in history.of(Op) if op.kind == "sample" and op.outcome == "invoke"}
    acknowledged = defaultdict[str, list[float]](list)
    for op in history.of(Op):
        if op.kind == "sample" and op.outcome == "ok":
            acknowledged[op.who].append(op.t)
    ended = _ended(history)
    for look in history.of(Look):
        if ended is None or look.t < ended + FRESH_S or look.told_stale:
            continue
        old = [row for row in look.rows if _is_old(row, look.t, sent, acknowledged[row.device])]
        if old or look.same is False:
            stale += 1
            why = f"shows {old[0]}" if old else "is not the server's at the same version"
            findings.append(f"{look.who}: {look.t - ended:.1f} s after the fault its board {why}")
    return Counts(duplicated=duplicated, reordered=reordered, stale_boards=stale, findings=tuple(findings))


def _is_old(row: RowSeen, t: float, sent: dict[tuple[str, int], float], acknowledged: Sequence[float]) -> bool:
    sending = any(t - SENDING_S <= at <= t for at in acknowledged)
    if row.freshness == "live":
        return row.sample is None or t - sent.get((row.device, row.sample), t) > OLD_S
    return sending


def _ended(history: History) -> float | None:
    """When the last fault was over, None as long as one is not."""
    under_way: Counter[str] = Counter()
    ended = None
    for fault in history.of(Fault):
        under_way[fault.what] += 1 if fault.began else -1
        ended = fault.t
    return None if any(count > 0 for count in under_way.values()) else ended


# -- leaks ----------------------------------------------------------------------------------------------------------------------


def leaks(history: History) -> Counts:
    """Messages that reached somebody who is not in the room they name."""
    rooms = defaultdict[str, set[str]](set)
    found = []
    for entry in history:
        if isinstance(entry, Joined):
            rooms[entry.who].add(entry.room)
        elif isinstance(entry, Heard | Framed) and entry.room not in rooms[entry.who]:
            found.append(f"{entry.who}: heard a message for room {entry.room} and has never been in there")
    return Counts(leaks=len(found), findings=tuple(found[:5]))


# -- tasks ----------------------------------------------------------------------------------------------------------------------


def tasks(history: History) -> Counts:
    """Every fact has its effect once for every queue that wants it, and only poison is parked."""
    told = list(history.of(FactTold))
    poison = {(one.who, one.fact) for one in history.of(Poisoned)}
    # More than once is no harm: a worker may be killed when a message is parked and not yet acknowledged.
    parked = Counter((one.who, one.fact) for one in history.of(Parked))
    owed = {(queue, one.fact) for one in told for queue in one.owed} - poison
    effects = Counter((one.who, one.fact) for one in history.of(Effect))
    undone = sorted(owed - set(effects))
    redone = {key: count - 1 for key, count in effects.items() if count > 1}
    findings = [f"{queue}: fact {fact} had its effect {effects[queue, fact]} times" for queue, fact in redone]
    if undone:
        by_queue = dict(Counter(queue for queue, _ in undone))
        findings.append(f"{len(undone)} effects never came, by queue {by_queue}; one is that of fact {undone[0][1]}")
    findings += [f"{queue}: an innocent fact was parked, {fact}" for queue, fact in sorted(set(parked) - poison)]
    findings += [f"{queue}: poison was not parked, {fact}" for queue, fact in sorted(poison - set(parked))]
    findings += [f"{one.who}: {one.fact} is parked without a reason" for one in history.of(Parked) if not one.reason]
    findings += [f"{queue}: poison had an effect, {fact}" for queue, fact in sorted(set(effects) & poison)]
    orders = {one.order for one in told if one.order is not None}
    kept = {op.value for op in history.of(Op) if op.kind == "order" and op.outcome == "ok"}
    if lost := kept - orders:
        findings.append(f"{len(lost)} orders were committed and nothing was told of them, the first is {min(lost)}")
    if waiting := max((one.waiting for one in history.of(Handed)), default=0):
        findings.append(f"{waiting} facts still wait in the outbox")
    return Counts(
        facts=len(told),
        effects=len(owed),
        undone=len(undone),
        redone=sum(redone.values()),
        handed=sum(one.deliveries for one in history.of(Handed)),
        parked=sum(parked.values()),
        findings=tuple(findings),
    )


# -- recovery and load ------------------------------------------------------------------------------------------------------------


def recovery(history: History, limit_s: float) -> Counts:
    """Seconds from the end of the fault until every node was ready and stayed it."""
    ended = _ended(history)
    state: dict[str, Ready] = {}
    ready_since = 0.0
    for entry in history.of(Ready):
        was = all(one.ready for one in state.values())
        state[entry.who] = entry
        if not was and all(one.ready for one in state.values()):
            ready_since = entry.t
    down = sorted(f"{who} ({', '.join(one.failing)})" for who, one in state.items() if not one.ready)
    if down:
        return Counts(recovery_s=None, findings=(f"not ready again: {'; '.join(down)}",))
    took = round(max(0.0, ready_since - (ended or 0.0)), 2)
    over = (f"it took {took} s until all nodes were ready again, {limit_s:g} are allowed",) if took > limit_s else ()
    return Counts(recovery_s=took, findings=over)


def load(history: History) -> Counts:
    """Memory, descriptors and tasks of each node at rest, after against before."""
    series = defaultdict[str, list[Load]](list)
    for entry in history.of(Load):
        series[entry.who].append(entry)
    findings, slope_kb = [], 0.0
    for node, curve in series.items():
        rests = [one for one in curve if one.rest]
        if len(rests) < 2:
            continue  # it was started or killed meanwhile: there is no before or no after, and its curve is that of a start
        slope_kb += slope([(one.t, float(one.rss_kb)) for one in curve])
        before, after = rests[0], rests[-1]
        warm = max((one.rss_kb for one in curve if one.warm), default=before.rss_kb)
        if after.rss_kb - warm > RSS_TOLERANCE_KB:
            findings.append(f"{node}: {after.rss_kb - warm} kB more memory than before")
        if after.fds - before.fds > FDS_TOLERANCE:
            findings.append(f"{node}: {after.fds} descriptors, {before.fds} before")
        more = Counter(after.tasks or {}) - Counter(before.tasks or {})
        if before.tasks is not None and more:
            findings.append(f"{node}: more tasks than before: {dict(more)}")
    return Counts(rss_slope_kb_per_s=round(slope_kb, 1), findings=tuple(findings))


def goodbyes(history: History) -> Counter[int | None]:
    """How connections ended, by code."""
    return Counter(entry.code for entry in history.of(Lost))


def answer_ms(history: History, of: str, began: float = 0.0, ended: float = float("inf")) -> list[float]:
    """How long the answers to clerks whose names begin so took, of questions begun in this span, sorted, ms; what was never
    answered took as long as it was waited for."""
    asked: dict[int, float] = {}
    took = []
    for op in history.of(Op):
        if op.kind != "ask" or not op.who.startswith(of):
            continue
        if op.outcome == "invoke":
            asked[op.op] = op.t
        elif began <= asked[op.op] <= ended:
            took.append((op.t - asked[op.op]) * 1000)
    return sorted(took)


def slow_answers(
    history: History, who: str, began: float = 0.0, ended: float = float("inf"), *, limit_ms: float = 300.0
) -> float:
    """The share of this clerk's questions, begun in this span, that took longer than the limit; those that were cut off with their
    connection do not count, those that were never answered do."""
    asked: dict[int, float] = {}
    slow: list[bool] = []
    for op in history.of(Op):
        if op.kind != "ask" or op.who != who:
            continue
        if op.outcome == "invoke":
            asked[op.op] = op.t
        elif began <= asked[op.op] <= ended and (op.outcome == "ok" or op.t - asked[op.op] > limit_ms / 1000):
            slow.append((op.t - asked[op.op]) * 1000 > limit_ms)
    return sum(slow) / len(slow) if slow else 0.0
