"""Who may have the hands of a lane that leads to many receivers, some of which are slow, away or hostile. Pure: `now` is given.

A hand is a call on its way, of which a process has a fixed number. Push services of browsers are many behind one lane, and anybody
can bring one; were the hands given to whatever is due, a few that answer nobody would hold all of them, and whoever is well would
wait for calls that end by their deadline. So a receiver is judged by how long it holds a hand:

**Well** is whose last call ended within `QUICK_S`, whatever the answer was, and that has none on its way that is older. Those have
`WELL` hands among them, each at most `EACH`.

**Doubtful** is everybody else: who has not been called yet, whose last call was slow, and from the moment it is, who is being slow.
Those have `DOUBTFUL` hands, each at most one; whoever is known to be slow at most half of them, so that there are hands left to
find out about the unknown. One quick answer, and a receiver is well.

A call that turns slow is therefore a doubtful one from then on, and its hand is given anew to the well at once. The two numbers
together are never exceeded. Full means that what is due stays where it is, in the database, and is looked at again when a hand
is free or a call has turned slow: nothing is claimed that would have to wait here.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from services.kernel.ids import DeliveryId

WELL: Final = 32
DOUBTFUL: Final = 64
HANDS: Final = WELL + DOUBTFUL
EACH: Final = 4
QUICK_S: Final = 1.0
"""Some twenty answers of a push service that is well."""
REMEMBERED: Final = 256
"""Receivers of which is known how they were; who was longest unused is unknown again."""


@dataclass(frozen=True)
class Room:
    """How many deliveries may be claimed: `limit` in all, of each receiver in `known` so many, of each `other` so many."""

    limit: int
    known: Mapping[str, int]
    other: int

    def without(self, receiver: str) -> "Room":
        """The same with room for one less of this receiver."""
        left = self.known.get(receiver, self.other) - 1
        return replace(self, known={**self.known, receiver: left})


@dataclass(slots=True)
class _Receiver:
    """`quick`: how the last call was, None before there was one. `since`: the calls on their way, and when they began."""

    quick: bool | None = None
    since: dict[DeliveryId, float] = field(default_factory=dict)

    def is_well(self, now: float) -> bool:
        return self.quick is True and all(now - began <= QUICK_S for began in self.since.values())


class Hands:
    """The hands of one lane. Times are monotonic seconds."""

    def __init__(self, well: int = WELL, doubtful: int = DOUBTFUL, each: int = EACH) -> None:
        self._well: Final = well
        self._doubtful: Final = doubtful
        self._each: Final = each
        self._receivers: Final[OrderedDict[str, _Receiver]] = OrderedDict()  # who was longest unused comes first

    def begin(self, receiver: str, call: DeliveryId, now: float) -> None:
        """A call to this receiver takes a hand."""
        known = self._receivers.setdefault(receiver, _Receiver())
        known.since[call] = now
        self._receivers.move_to_end(receiver)

    def answered(self, receiver: str, call: DeliveryId, now: float) -> None:
        """The receiver itself ended this call, however: what it was not asked, or by us, says nothing about it."""
        known = self._receivers.get(receiver)
        if known is not None and call in known.since:
            known.quick = now - known.since[call] <= QUICK_S

    def end(self, receiver: str, call: DeliveryId) -> None:
        """The hand is free."""
        known = self._receivers.get(receiver)
        if known is not None:
            known.since.pop(call, None)
        self._forget()

    def rooms(self, now: float) -> tuple[Room, Room]:
        """What may be claimed now: for the well, and for the doubtful."""
        well = {name: one for name, one in self._receivers.items() if one.is_well(now)}
        doubtful = {name: one for name, one in self._receivers.items() if name not in well}
        held_well = sum(len(one.since) for one in well.values())
        held_doubtful = sum(len(one.since) for one in doubtful.values())
        free = max(self._well + self._doubtful - held_well - held_doubtful, 0)
        room_of = {name: self._each - len(one.since) for name, one in well.items()}
        return (
            Room(max(min(self._well - held_well, free), 0), room_of, other=0),
            Room(max(min(self._doubtful - held_doubtful, free), 0), self._without(well, doubtful), other=1),
        )

    def _without(self, well: Mapping[str, _Receiver], doubtful: Mapping[str, _Receiver]) -> dict[str, int]:
        """Who may have none of the hands of the doubtful now; of the slow, those that were called last."""
        busy = [name for name, one in doubtful.items() if one.since]
        slow = [name for name, one in doubtful.items() if one.quick is False and not one.since]
        held = sum(len(one.since) for one in doubtful.values() if one.quick is False)
        free = max(self._doubtful // 2 - held, 0)
        return dict.fromkeys((*well, *busy, *slow[free:]), 0)

    def _forget(self) -> None:
        idle = (name for name, one in self._receivers.items() if not one.since)
        for name in [name for name, _ in zip(idle, range(len(self._receivers) - REMEMBERED), strict=False)]:
            del self._receivers[name]
