"""What those who lead a class are told on a beat: how their athletes do (rooms/cockpit.py), and what became of their cues.

Who of the athletes agrees to be seen the nodes that know their figures first-hand decide, before they tell (rooms/redaction.py).
Whether whoever leads may see hearts at all is decided here, by the plan that the installation asks of coaches.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.hub import Hub
from realtime.wire import CockpitSnapshot
from rooms.room import Room
from services.access.decision import Reason
from services.classes.coach_plan import NOTHING_NEEDED, CoachPlan
from services.classes.leading import may_see_heart_rate
from services.kernel.caller import Caller
from services.kernel.ids import AccountId

OnLook = Callable[[Caller, Room], None]
PlanOf = Callable[[AccountId], CoachPlan]
Follow = Callable[[Connection, Room], None]


class Cockpits:
    """See the module. `follow` lets a connection hear what other nodes say to the coaches of a room. Set by the wiring: `on_look`
    hears who is about to be shown the cockpit of a room (see `looking.py`), `plan_of` says whether they have what the installation
    asks of coaches (see `planning.py`)."""

    def __init__(self, hub: Hub, follow: Follow) -> None:
        self._hub: Final = hub
        self._follow: Final = follow
        self.on_look: OnLook = _nobody_notes_looks
        self.plan_of: PlanOf = _nothing_needed

    def tell(self, room: Room, now_ms: int) -> None:
        """To those who lead the class, what changed of all its athletes; to those of them who lack what they need for it, that."""
        coaches = tuple(each for each in room.coaches_here() if self._sees(room, each) == "allowed")
        self._tell_lacking(room, set(room.coaches_here()) - set(coaches), now_ms)
        if not coaches:
            room.cockpit.rest()
            return
        changes = room.cockpit.refresh(room.lines_for_coach(), room.stepping.targets(now_ms), now_ms)
        newcomers = room.cockpit.newcomers(coaches)
        key = f"cockpit {room.channel}"
        for connection_id in coaches:
            connection = self._hub.get(connection_id)
            if connection is None:
                continue
            if room.coaches_channel not in connection.channels:  # leads the class since they came
                self._follow(connection, room)
            self.on_look(connection.caller, room)
            if connection_id in newcomers:
                connection.push(room.cockpit.snapshot_frame(now_ms), key=key)
            elif changes is not None:
                connection.push(changes, key=key, whole=lambda: room.cockpit.snapshot_frame(now_ms))
        self._tell_receipts(room, coaches if room.cues.add_up(room.board.receipts()) else newcomers, now_ms)

    def _sees(self, room: Room, connection_id: str) -> Reason | None:
        """Whether whoever leads the class sees hearts in it, and if not, why; None for who has gone."""
        connection = self._hub.get(connection_id)
        if connection is None:
            return None
        caller = connection.caller
        return may_see_heart_rate(room.live, caller, None, self.plan_of(caller.account_id)).reason

    def _tell_lacking(self, room: Room, shown_nothing: Collection[str], now_ms: int) -> None:
        """Say once that a cockpit is empty because of what its coach lacks; not before that was looked up."""
        lacking: dict[str, str] = {}
        for connection_id in shown_nothing:
            connection = self._hub.get(connection_id)
            if connection is not None and self._sees(room, connection_id) == "plan_missing":
                plan = self.plan_of(connection.caller.account_id)
                if plan.needs is not None and plan.lacks != "unknown":
                    lacking[connection_id] = plan.needs
        for connection_id in room.cockpit.newly_lacking(lacking):
            connection = self._hub.get(connection_id)
            if connection is not None:
                empty = CockpitSnapshot(room.live.id, now_ms, (), (), needs=lacking[connection_id])
                connection.push(event_frame("cockpit.snapshot", empty), key=f"cockpit {room.channel}")

    def _tell_receipts(self, room: Room, coaches: Iterable[str], now_ms: int) -> None:
        frame = room.cues.receipts_frame(now_ms)
        for connection_id in coaches:
            connection = self._hub.get(connection_id)
            if connection is not None and frame is not None:
                connection.push(frame, key=f"cues {room.channel}")


def _nobody_notes_looks(caller: Caller, room: Room) -> None:
    """Nobody is told who leads a class and sees the hearts in it."""


def _nothing_needed(account_id: AccountId) -> CoachPlan:
    """Nothing is asked of coaches."""
    return NOTHING_NEEDED
