"""The cues of one room: for whom each is, and who has got it.

A cue may be for some members only. It goes through the room's log like everything that must arrive, so its order and its recovery
are those of every other event; what is in the log names the audience by their numbers, and each node hands it only to them and to
those who lead the class, live and to whoever comes back (rooms/audience.py). What the others get has no such cue in it, and
what a member gets does not say who else was meant.

A client acknowledges a cue with `cue.seen`. The node that hears it puts the receipt into the member's entry of the board, where it
travels with the next shares and is forgotten a quarter of a minute later: three whole shares have gone out by then. The node of a
coach adds up what it has heard (services/classes/receipts.py). A coach who comes to a node later counts from what is still told.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from realtime.codec import event_frame
from realtime.frame import Frame
from realtime.wire import Cue, CueReceipts, CueTally
from services.classes.receipts import Receipt, collected, merged, tally_of
from services.kernel.ids import ClassId
from services.kernel.problems import CueUnknown

KEEP_CUES: Final = 20
"""Cues of a room of which receipts are counted. Full means: the oldest is counted no more, and a receipt for it is refused."""
MAX_RECEIPTS: Final = 4
"""Receipts in a member's entry. Full means: the oldest goes; it has been told with every change since."""
TELL_FOR_MS: Final = 15_000
"""How long a receipt is told."""


class KnownCue(msgspec.Struct, eq=False):
    """A cue that came through here. `to` the numbers it is for, None: everybody; `sent` how many were to get it; `receipts` by
    number."""

    at_ms: int
    to: frozenset[int] | None
    sent: int
    receipts: dict[int, Receipt]


class Cues:
    """See the module."""

    def __init__(self, class_id: ClassId) -> None:
        self._class_id: Final = class_id
        self._known: OrderedDict[str, KnownCue] = OrderedDict()
        self._told: tuple[CueTally, ...] = ()

    def note(self, cue: Cue, here: Collection[int]) -> None:
        """A cue has come out of the log; `here` are the numbers of those in the room who do not lead it."""
        if cue.position in self._known:
            return
        to = None if cue.to is None else frozenset(cue.to)
        self._known[cue.position] = KnownCue(cue.at_ms, to, len(here) if to is None else len(to), {})
        while len(self._known) > KEEP_CUES:
            self._known.popitem(last=False)

    def receipt(self, position: str, n: int, now_ms: int, *, shown: bool) -> Receipt:
        """A member's receipt. Raises `CueUnknown` for a cue that is none of the last ones, or was not for them."""
        known = self._known.get(position)
        if known is None or (known.to is not None and n not in known.to):
            raise CueUnknown
        took_ms = max(now_ms - known.at_ms, 0)
        return Receipt(position, took_ms, now_ms, took_ms if shown else None)

    def add_up(self, told: Iterable[tuple[int, Receipt]]) -> bool:
        """Take what all nodes tell; whether a coach does not know it yet."""
        for position, by_member in collected(told).items():
            known = self._known.get(position)
            if known is not None:
                for n, receipt in by_member.items():
                    known.receipts[n] = merged(known.receipts.get(n), receipt)
        before, self._told = self._told, tuple(_tally(*each) for each in self._known.items())
        return self._told != before

    def receipts_frame(self, now_ms: int) -> Frame | None:
        """How it stands with the last cues, as of the last `add_up`; None when there is none."""
        if not self._told:
            return None
        return event_frame("cue.receipts", CueReceipts(self._class_id, now_ms, self._told))


def _tally(position: str, known: KnownCue) -> CueTally:
    tally = tally_of(known.receipts)
    return CueTally(position, known.sent, tally.delivered, tally.seen, tally.p50_ms, tally.p95_ms)
