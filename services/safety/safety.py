"""Watching over somebody who wants it: the choice, and the chain from a finding to whoever is told. The use cases.

It is off until somebody turns it on, because turning it on means that others may be told of one's heart.

The chain is durable. Opening an incident stores it, plans its next step in the schedule (a fact that is told later) and tells that
it is there, in one transaction; so does every further change. No process has to live through the fifteen seconds: whichever
scheduler leads tells the fact, whichever worker gets it takes the step. The row of the incident is the lock, and its `revision`
makes a step that is told twice, or too late, do nothing (incident.py).
"""

from typing import Final

import msgspec

from services.access import permission as may
from services.access.policy import require_held
from services.audit.entry import SYSTEM, Entry, Thing, actor_of
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import SafetyIncidentMoved, SafetyStepDue
from services.kernel.ids import AccountId, ClassId, Ids, IncidentId, StreamId
from services.kernel.problems import NotFound
from services.safety import incident as incidents
from services.safety.incident import MOST_ALERTS, OPEN_MS, AlertList, AlertView, Incident, IncidentView, Reach
from services.safety.limit import Limit, limit_of
from services.safety.ports import Chosen, SafetyStores, SafetyTransactions
from services.safety.watching import LOST_MS, Finding
from services.safety.writing import write_to_contact

UNDER_WAY_MS: Final = 10_000
"""How late the last reading before a silence may have come: it is no sign that the silence has ended. By feeling."""


class SafetyNow(msgspec.Struct, frozen=True):
    """How it stands: the choice, the limit that holds (or would, while it is off), and the incident that is open."""

    chosen: Chosen
    limit: Limit
    incident: Incident | None


class Safety:
    """The use cases."""

    def __init__(self, transactions: SafetyTransactions, clock: Clock, ids: Ids) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids

    # -- the choice ---------------------------------------------------------------------------------------------------

    async def now(self, caller: Caller) -> SafetyNow:
        """How it stands for the caller. Raises `Forbidden` for a display."""
        account_id = own(caller)
        async with self._transactions() as stores:
            return await self._now(stores, account_id)

    async def choose(self, caller: Caller, chosen: Chosen) -> SafetyNow:
        """Turn it on or off, with a limit of one's own or none. What is being recorded is watched from the next opening of its
        stream on; turned off, nothing new begins at once, and an incident that is open goes its way. Raises `Forbidden`."""
        account_id = own(caller)
        async with self._transactions() as stores:
            await stores.safety.save_chosen(account_id, chosen, self._clock.wall_ms())
            return await self._now(stores, account_id)

    async def _now(self, stores: SafetyStores, account_id: AccountId) -> SafetyNow:
        account = await stores.accounts.by_id(account_id)
        if account is None:
            raise NotFound("this account is gone")
        chosen = await stores.safety.chosen(account_id)
        latest = await stores.safety.latest(account_id)
        physiology = account.profile.physiology(utc(self._clock.wall_ms()).date())
        return SafetyNow(
            chosen, limit_of(chosen.limit_bpm, physiology), None if latest is None or latest.over else latest
        )

    # -- the chain ----------------------------------------------------------------------------------------------------

    async def found(
        self, account_id: AccountId, class_id: ClassId | None, stream_id: StreamId, finding: Finding
    ) -> Incident | None:
        """Ask somebody whether they are all right, because of what was found on a stream of theirs; None when they are not to be
        asked: turned off, asked already, or heard of meanwhile on another device."""
        now_ms = self._clock.wall_ms()
        async with self._transactions() as stores:
            chosen = await stores.safety.lock_chosen(account_id)
            if not chosen.on or not incidents.may_open(finding, await stores.safety.latest(account_id), now_ms):
                return None
            if finding.kind == "signal_lost":
                silent_ms = finding.at_ms - LOST_MS + UNDER_WAY_MS
                if await stores.safety.heard_since(account_id, stream_id, silent_ms):
                    return None
            incident_id = IncidentId(self._ids.next())
            incident = incidents.opened(incident_id, account_id, class_id, finding, now_ms)
            await stores.safety.add(incident)
            await tell(stores, incident)
        return incident

    async def cancel(self, caller: Caller, incident_id: IncidentId) -> IncidentView:
        """The caller says that they are all right. Raises `Forbidden` for a display, `NotFound` for an incident that is not theirs,
        `IncidentOver`."""
        account_id = own(caller)
        async with self._transactions() as stores:
            incident = await stores.safety.lock(incident_id)
            if incident is None or incident.account_id != account_id:
                raise NotFound("you have no such incident")
            moved = incidents.cancelled(incident, self._clock.wall_ms())
            await save(stores, incident, moved)
        return incidents.view_of(moved)

    async def alerts(self, caller: Caller) -> AlertList:
        """What waits for the caller as somebody who coaches: an alert goes out once, to whoever is connected, and this is where
        whoever was not finds it. What somebody has taken on, or what is over, waits for nobody; neither does what would have
        been over for `OPEN_MS`, had the workers been there. Raises `Forbidden` for a display."""
        account_id = own(caller)
        due_after = utc(self._clock.wall_ms() - OPEN_MS)
        async with self._transactions() as stores:
            found = await stores.safety.waiting_for(account_id, due_after, MOST_ALERTS + 1)
            shown = found[:MOST_ALERTS]
            actor = actor_of(caller)
            await stores.audit.add(
                *(
                    Entry(
                        actor, "incident.viewed", alert.incident.account_id, Thing("incident", str(alert.incident.id))
                    )
                    for alert in shown
                )
            )
        views = [incidents.alert_of(alert.incident, alert.class_id, alert.n, alert.name) for alert in reversed(shown)]
        return AlertList(tuple(views), more=len(found) > len(shown))

    async def acknowledge(self, caller: Caller, incident_id: IncidentId) -> AlertView:
        """The caller, who was told as a coach of the class, takes an incident on. Raises `Forbidden` for a display, `NotFound`,
        `IncidentOver`."""
        account_id = own(caller)
        async with self._transactions() as stores:
            incident = await stores.safety.lock(incident_id)
            if incident is None or incident.class_id is None or incident.coach_told_ms is None:
                raise NotFound("you were told of no such incident")
            place = await stores.safety.place(incident.class_id, incident.account_id)
            if place is None or account_id not in place.coaches:
                raise NotFound("you were told of no such incident")
            moved = incidents.acknowledged(incident, account_id, self._clock.wall_ms())
            await save(stores, incident, moved)
            thing = Thing("incident", str(incident_id))
            await stores.audit.add(Entry(actor_of(caller), "incident.viewed", incident.account_id, thing))
        return incidents.alert_of(moved, incident.class_id, place.n, place.name)


async def take_step(stores: SafetyStores, due: SafetyStepDue, now_ms: int) -> Incident | None:
    """The time of a step has come: what the incident is now; None when the plan has been overtaken, or it is gone."""
    incident = await stores.safety.lock(due.incident_id)
    if incident is None:
        return None
    moved = incidents.step(incident, due.revision, await reach_of(stores, incident), now_ms)
    if moved is not None:
        await save(stores, incident, moved)
    return moved


async def reach_of(stores: SafetyStores, incident: Incident) -> Reach:
    """Who could be told of an incident."""
    place = None
    if incident.class_id is not None:
        place = await stores.safety.place(incident.class_id, incident.account_id)
    contact = await stores.contacts.agreed(incident.account_id)
    return Reach(coach=place is not None and bool(place.coaches), contact=contact is not None)


async def save(stores: SafetyStores, before: Incident, moved: Incident) -> None:
    """Keep what an incident has become, if it is something else: its former plan goes, the next one is made, and the contact learns
    what is for them."""
    if moved.revision == before.revision:
        return
    await stores.safety.save(moved)
    await stores.schedule.cancel(SafetyStepDue, str(moved.id))
    await write_to_contact(stores, before, moved)
    if before.coach_told_ms is None and moved.coach_told_ms is not None:
        await stores.audit.add(Entry(SYSTEM, "incident.told", moved.account_id, Thing("incident", str(moved.id))))
    await tell(stores, moved)


async def tell(stores: SafetyStores, incident: Incident) -> None:
    """Tell that an incident is there, or another one now, and plan its next step."""
    if incident.due_ms is not None:
        due = SafetyStepDue(incident.id, incident.account_id, incident.revision)
        await stores.schedule.once(due, incident.id, at_ms=incident.due_ms, key=str(incident.id))
    await stores.outbox.add(SafetyIncidentMoved(incident.id, incident.account_id), incident.id)


def own(caller: Caller) -> AccountId:
    """The account of whoever asks. Raises `Forbidden` for a display, which has none."""
    require_held(caller, may.USE_SAFETY)
    return caller.account_id
