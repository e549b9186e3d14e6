"""An incident: somebody is asked whether they are all right, and if no answer comes, others are told. Pure.

    prompted ──the athlete answers──> cancelled
       │ after PROMPT_MS
       ├── somebody coaches them ──> coach_told ──a coach takes it on──> acknowledged ──> closed
       │                                 │ after COACH_MS                    ^
       ├── nobody does, they named a contact ──> contact_told ──a coach──────┘ ──> closed
       └── there is nobody to be told ──> closed

Whatever was told to others, the athlete's own word that they are all right closes it, and so does the time, `OPEN_MS` after
the last thing that happened. Every change raises `revision`. What is to happen at a time is said with the revision that it was
planned at (`step`): a plan that something has overtaken, or that comes a second time, finds another revision and does nothing. That
is the whole reason why an incident ends in one way, whoever is late, doubled or killed. An answer in the very moment in which the
time is up comes before it or after it, because both hold the row.

Somebody has one open incident at a time; what is found meanwhile changes nothing. After it, they are not asked about the same kind
of finding for `PAUSE_MS`.
"""

from typing import Final, Literal

import msgspec

from services.kernel.ids import AccountId, ClassId, IncidentId
from services.kernel.problems import IncidentOver
from services.safety.watching import Finding, IncidentKind

State = Literal["prompted", "cancelled", "coach_told", "acknowledged", "contact_told", "closed"]
EndedBy = Literal["athlete", "nobody_to_tell", "time"]

PROMPT_MS: Final = 15_000
"""How long the athlete is asked before anybody else hears of it."""
COACH_MS: Final = 60_000
"""How long a coach has before the contact is told. By feeling: to cross a hall and look somebody in the face."""
OPEN_MS: Final = 10 * 60_000
"""After so long it is over by itself. By feeling: whoever was told has acted by then."""
PAUSE_MS: Final = 5 * 60_000
"""How long somebody is left alone about the same kind of finding. By feeling."""
FRESH_MS: Final = 60_000
"""What was found longer ago is history, and asks nobody: samples that came late, a database that was away."""
MOST_ALERTS: Final = 200
"""Alerts in one answer: the hearts of a class whose straps are all lost at once. By feeling."""


class Incident(msgspec.Struct, frozen=True):
    """One incident. `class_id` the live class it happened in; `bpm` the last heart rate that was believed; times are ms since 1970.
    `due_ms`: when the next step is taken, None once it is over. `coach_told_ms`, `contact_told_ms`: since when they know."""

    id: IncidentId
    account_id: AccountId
    class_id: ClassId | None
    kind: IncidentKind
    bpm: int
    found_ms: int
    opened_ms: int
    state: State
    revision: int
    due_ms: int | None
    coach_told_ms: int | None = None
    acknowledged_by: AccountId | None = None
    contact_told_ms: int | None = None
    ended_ms: int | None = None
    ended_by: EndedBy | None = None

    @property
    def over(self) -> bool:
        return self.ended_ms is not None


class IncidentView(msgspec.Struct, frozen=True, omit_defaults=True):
    """Your own incident. `kind` is what was seen, `bpm` the last heart rate before it. While it is `prompted` you have until
    `next_ms` to say `safety.cancel`; then those who coach your class are told, and after them your emergency contact. `coach_told`,
    `contact_told`: whether they know. `revision` grows with every change. Times are ms since 1970; `next_ms` is when the next step
    is taken."""

    incident: IncidentId
    kind: IncidentKind
    state: State
    revision: int
    bpm: int
    found_ms: int
    coach_told: bool
    contact_told: bool = False
    next_ms: int | None = None
    ended_by: EndedBy | None = None


class AlertView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An athlete of your class may need you: go and look. `n` and `name` as on the board; `kind` is what was seen, `bpm` the last
    heart rate before it. Say `safety.acknowledge` when you take it on: `acknowledged_by` then says who. A `state` of "closed"
    means that it is over, by the athlete's own word (`ended_by`) or by the time, which is `next_ms`. `revision` grows with every
    change."""

    incident: IncidentId
    class_id: ClassId
    account_id: AccountId
    n: int
    name: str
    kind: IncidentKind
    state: State
    revision: int
    bpm: int
    found_ms: int
    acknowledged_by: AccountId | None = None
    next_ms: int | None = None
    ended_by: EndedBy | None = None


class AlertList(msgspec.Struct, frozen=True):
    """The alerts that wait for you, newest last: athletes whom you coach, who have not answered and whom nobody has taken
    on. `more`: there are older ones, too, which come when these are taken on."""

    alerts: tuple[AlertView, ...]
    more: bool


class Reach(msgspec.Struct, frozen=True):
    """Who could be told: whether somebody else coaches the class, and whether a contact has agreed to be told."""

    coach: bool
    contact: bool


def may_open(finding: Finding, latest: Incident | None, now_ms: int) -> bool:
    """Whether somebody whose last incident is `latest` is to be asked about a finding."""
    if now_ms - finding.at_ms > FRESH_MS:
        return False
    if latest is None:
        return True
    if latest.ended_ms is None:
        return False
    return latest.kind != finding.kind or now_ms - latest.ended_ms >= PAUSE_MS


def opened(
    incident_id: IncidentId, account_id: AccountId, class_id: ClassId | None, finding: Finding, now_ms: int
) -> Incident:
    """Somebody is asked."""
    return Incident(
        id=incident_id,
        account_id=account_id,
        class_id=class_id,
        kind=finding.kind,
        bpm=finding.bpm,
        found_ms=finding.at_ms,
        opened_ms=now_ms,
        state="prompted",
        revision=1,
        due_ms=now_ms + PROMPT_MS,
    )


def step(incident: Incident, revision: int, reach: Reach, now_ms: int) -> Incident | None:
    """What becomes of it when the time has come that was planned at `revision`; None when that plan has been overtaken."""
    if incident.over or incident.revision != revision:
        return None
    match incident.state:
        case "prompted" if reach.coach:
            wait_ms = COACH_MS if reach.contact else OPEN_MS
            return _moved(incident, state="coach_told", due_ms=now_ms + wait_ms, coach_told_ms=now_ms)
        case "prompted" | "coach_told" if reach.contact:
            return _moved(incident, state="contact_told", due_ms=now_ms + OPEN_MS, contact_told_ms=now_ms)
        case "prompted":
            return _over(incident, "closed", "nobody_to_tell", now_ms)
        case _:
            return _over(incident, "closed", "time", now_ms)


def cancelled(incident: Incident, now_ms: int) -> Incident:
    """The athlete says that they are all right. Said again, it is as it was; raises `IncidentOver` when it ended otherwise."""
    if incident.over:
        if incident.ended_by == "athlete":
            return incident
        raise IncidentOver
    state: State = "cancelled" if incident.state == "prompted" else "closed"
    return _over(incident, state, "athlete", now_ms)


def acknowledged(incident: Incident, coach_id: AccountId, now_ms: int) -> Incident:
    """A coach who was told takes it on; the contact, if they do not know yet, is not told. The first one has it, whoever else says
    it too. Raises `IncidentOver`."""
    if incident.over:
        raise IncidentOver
    if incident.acknowledged_by is not None:
        return incident
    return _moved(incident, state="acknowledged", due_ms=now_ms + OPEN_MS, acknowledged_by=coach_id)


def view_of(incident: Incident) -> IncidentView:
    """As the athlete sees it."""
    return IncidentView(
        incident=incident.id,
        kind=incident.kind,
        state=incident.state,
        revision=incident.revision,
        bpm=incident.bpm,
        found_ms=incident.found_ms,
        coach_told=incident.coach_told_ms is not None,
        contact_told=incident.contact_told_ms is not None,
        next_ms=incident.due_ms,
        ended_by=incident.ended_by,
    )


def alert_of(incident: Incident, class_id: ClassId, n: int, name: str) -> AlertView:
    """As the coaches of the class see it."""
    return AlertView(
        incident=incident.id,
        class_id=class_id,
        account_id=incident.account_id,
        n=n,
        name=name,
        kind=incident.kind,
        state=incident.state,
        revision=incident.revision,
        bpm=incident.bpm,
        found_ms=incident.found_ms,
        acknowledged_by=incident.acknowledged_by,
        next_ms=incident.due_ms,
        ended_by=incident.ended_by,
    )


def _moved(
    incident: Incident,
    *,
    state: State,
    due_ms: int,
    coach_told_ms: int | None = None,
    acknowledged_by: AccountId | None = None,
    contact_told_ms: int | None = None,
) -> Incident:
    return msgspec.structs.replace(
        incident,
        state=state,
        revision=incident.revision + 1,
        due_ms=due_ms,
        coach_told_ms=incident.coach_told_ms if coach_told_ms is None else coach_told_ms,
        acknowledged_by=incident.acknowledged_by if acknowledged_by is None else acknowledged_by,
        contact_told_ms=incident.contact_told_ms if contact_told_ms is None else contact_told_ms,
    )


def _over(incident: Incident, state: State, by: EndedBy, now_ms: int) -> Incident:
    return msgspec.structs.replace(
        incident, state=state, revision=incident.revision + 1, due_ms=None, ended_ms=now_ms, ended_by=by
    )
