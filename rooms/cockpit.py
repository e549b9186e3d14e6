"""The cockpit of one room: all athletes as those who lead the class see them, and who of them needs somebody.

It is made of the merged board, so it is right on whatever node the coach and the athletes are. Every node on which somebody who
leads the class is connected works it out for itself, and while nobody looks, nobody does: how long a reason has stood is counted
from the first look. Two coaches on two nodes may see a reason come a beat apart.

Told are rows that changed, at most every `COCKPIT_EVERY_S` (rooms/rooms.py), to connections that have got everything before; the
others get a snapshot. A slow one keeps only the newest, as of a board.
"""

from collections.abc import Collection, Sequence
from typing import Final

from realtime.codec import event_frame
from realtime.frame import Frame
from realtime.wire import CockpitChanges, CockpitMember, CockpitRow, CockpitSnapshot, Freshness
from rooms.board import Line
from rooms.reading import freshness_of
from services.classes.aim import heart_band
from services.classes.attention import NOTHING_KNOWN, Sighting, Watch, advance, reasons_of, since_ms
from services.classes.ranking import weight
from services.classes.script import Target
from services.classes.steps import Body
from services.kernel.ids import ClassId
from services.training.zones import percent_of_max


class Cockpit:
    """See the module. No clock: time comes in as `now_ms` (wall, ms since 1970)."""

    def __init__(self, class_id: ClassId) -> None:
        self._class_id: Final = class_id
        self._watches: dict[int, Watch] = {}
        self._members: dict[int, CockpitMember] = {}
        self._rows: dict[int, CockpitRow] = {}
        self._snapshot: Frame | None = None
        self._knowing: set[str] = set()
        self._lacking: set[str] = set()
        self.bodies: set[int] = set()
        """The numbers of those whose heart rate is in it."""

    def refresh(self, lines: Sequence[Line], targets: Sequence[Target], now_ms: int) -> Frame | None:
        """Bring it up to what the board says and the class asks; the changes as a frame, None when nothing changed."""
        athletes = {line.feed.n: line for line in lines if line.feed.role == "athlete"}
        self._watches = {
            n: advance(self._watches.get(n, NOTHING_KNOWN), _sighting(line, targets, now_ms), now_ms)
            for n, line in athletes.items()
        }
        members = {n: _member(line) for n, line in athletes.items()}
        rows = {n: _row(line, self._watches[n], now_ms) for n, line in athletes.items()}
        self.bodies = {n for n, row in rows.items() if row.bpm is not None}
        changes = CockpitChanges(
            class_id=self._class_id,
            at_ms=now_ms,
            members=tuple(member for n, member in members.items() if self._members.get(n) != member),
            rows=tuple(row for n, row in rows.items() if self._rows.get(n) != row),
        )
        left = self._rows.keys() - rows.keys()
        self._members, self._rows = members, rows
        if not (changes.members or changes.rows or left):
            return None
        self._snapshot = None
        return self.snapshot_frame(now_ms) if left else event_frame("cockpit.changes", changes)

    def snapshot_frame(self, now_ms: int) -> Frame:
        """Everything as of the last `refresh`, encoded once however many need it."""
        if self._snapshot is None:
            snapshot = CockpitSnapshot(
                self._class_id, now_ms, tuple(self._members.values()), tuple(self._rows.values())
            )
            self._snapshot = event_frame("cockpit.snapshot", snapshot)
        return self._snapshot

    def newcomers(self, coaches: Collection[str]) -> set[str]:
        """Which of these connections, now all that lead the class here, have not been told everything before; from now on they
        have."""
        new = set(coaches) - self._knowing
        self._knowing = set(coaches)
        return new

    def newly_lacking(self, connections: Collection[str]) -> set[str]:
        """Which of these connections, now all that lead the class here without what they need to see it, have not been told so."""
        new = set(connections) - self._lacking
        self._lacking = set(connections)
        return new

    def rest(self) -> None:
        """Nobody looks: what was seen does not count for what comes."""
        self._knowing.clear()
        self._watches.clear()
        self._members, self._rows, self._snapshot = {}, {}, None


def _sighting(line: Line, targets: Sequence[Target], now_ms: int) -> Sighting:
    feed = line.feed
    freshness, bpm = _reading(line, now_ms)
    aim = None if feed.rest_hr is None or not targets else heart_band(targets, Body(feed.max_hr, feed.rest_hr))
    return Sighting(
        present=line.present,
        sensor=freshness,
        bpm=bpm,
        limit_bpm=feed.max_hr,
        above_own=feed.above_own,
        aim=aim,
        finished=feed.finished,
        first=feed.first,
    )


def _row(line: Line, watch: Watch, now_ms: int) -> CockpitRow:
    feed = line.feed
    freshness, bpm = _reading(line, now_ms)
    return CockpitRow(
        n=feed.n,
        reasons=reasons_of(watch),
        since_ms=since_ms(watch),
        present=line.present,
        bpm=bpm,
        percent=None if bpm is None else percent_of_max(bpm, feed.max_hr),
        zone=zone_now(line, now_ms),
        effort=round(weight(feed.zone_ms) / 60_000, 1),
        freshness=freshness,
        off_ms=feed.off_ms if line.present else None,
    )


def zone_now(line: Line, now_ms: int) -> int | None:
    """The zone that somebody is in, None unless their sensor is live."""
    return line.feed.zone if _reading(line, now_ms)[0] == "live" else None


def _member(line: Line) -> CockpitMember:
    feed = line.feed
    return CockpitMember(n=feed.n, account_id=feed.account_id, name=feed.name, first=feed.first)


def _reading(line: Line, now_ms: int) -> tuple[Freshness, int | None]:
    """How old the sensor's last word is, and the heart rate while it holds. A strap that says it has no contact is believed."""
    feed = line.feed
    freshness = freshness_of(None if feed.at_ms is None or feed.finished else max(now_ms - feed.at_ms, 0))
    if freshness == "live" and feed.bpm is None:
        freshness = "stale"
    return freshness, feed.bpm if freshness == "live" else None
