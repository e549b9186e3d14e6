"""One room on this node: a live class, its board, and what this node knows of it first-hand.

Synchronous throughout: the beat, the sockets and the streams all act on it between two awaits, so its order can be read
off the page. What this node sees becomes entries on the board under the node's own name; `share` hands the changed ones
(or all) to the other nodes.

`board` is what the room sees; of a member who does not show everything to it, what this node knows first-hand stays in `_own`, goes
to the coaches' board (`private`) as far as the coach may see it, and to `private_share` (rooms/redaction.py).
"""

import secrets
from collections.abc import Callable, Collection, Iterator
from typing import Final

import msgspec

from realtime.codec import event_frame, payload_of
from realtime.connection import Connection
from realtime.frame import Frame
from realtime.limits import RoomPace
from realtime.peer import Share, ShareEntry
from realtime.wire import (
    BoardChanges,
    BoardFiltered,
    BoardPrivate,
    BoardSnapshot,
    ClassEndedView,
    ClassView,
    ClockView,
    GroupView,
    LobbyView,
    Member,
    StepRow,
)
from rooms.audience import CUE_EVENT, audience_of, cue_of, for_member
from rooms.board import Board, Line, furthest
from rooms.cockpit import Cockpit, zone_now
from rooms.cues import MAX_RECEIPTS, TELL_FOR_MS, Cues
from rooms.effort import NOTHING, Window
from rooms.filtering import EVERYBODY, Filter, Filters, Parts, Places
from rooms.friendships import Friendships
from rooms.private_board import Private
from rooms.redaction import for_coach, for_room, sees_less
from rooms.stepping import Readings, Stepping
from rooms.tape import Tape
from services.classes.course import Doing
from services.classes.live_class import NOBODY, LiveClass, Membership, Role, is_out
from services.classes.metric import MEASURES, UNKNOWN, Basis, Metric, figure_of
from services.classes.receipts import with_receipt
from services.classes.showing import Showing, newer
from services.classes.steps import Body
from services.classes.timeline import Timeline, clocks_of
from services.kernel.ids import AccountId, ClassId
from services.kernel.problems import NotInRoom
from services.social.moderation import Mute

DEFAULT_MAX_HR: Final = 190
ENDED_EVENT: Final = "class.ended"
SILENT_ROUNDS: Final = 6
"""Whole shares of a node that must be missing until nobody is present through it, though it lives: half a minute. Whoever leaves is
told of by one share, which may be lost, and then by all whole ones as long as their node has the room. By feeling, above the 17 s
that a loop which stood still for 12 s may be late."""
REVISIONS_PER_MS: Final = 1_000
"""More changes than this per millisecond no node can make in a room, so a later life always begins above an earlier one."""

_ended: Final = msgspec.json.Decoder(ClassEndedView).decode


def channel_of(class_id: ClassId) -> str:
    """The channel a room's broadcasts and shares travel on."""
    return f"room:{class_id}"


def coaches_channel_of(class_id: ClassId) -> str:
    """The channel on which travels what only the coaches of a class may see."""
    return f"coaches:{class_id}"


def view_of(live: LiveClass) -> ClassView:
    """A class as clients see it."""
    return ClassView(
        id=live.id,
        code=live.code,
        title=live.title,
        coach_name=live.coach_name,
        state="over" if live.over else "live",
        created_at_ms=live.created_ms,
        ended_at_ms=live.ended_ms,
        coach_id=None if live.coach_id == NOBODY else live.coach_id,
        co_coach_ids=live.co_coach_ids,
        coaches_n=live.coaches_n,
        needs=live.needs,
        metric=live.metric,
        unit=MEASURES[live.metric].unit,
        ties=MEASURES[live.metric].tie,
        ranking_n=live.ranking_n,
        group=None if live.group is None else GroupView(live.group.places, live.group.late_min),
        teams=live.teams,
        team_rule=live.team_rule,
    )


def clock_view(class_id: ClassId, timeline: Timeline) -> ClockView | None:
    """The clock of a class as clients see it now; None while it has no script."""
    views = clock_views(class_id, timeline)
    return views[-1] if views else None


def clock_views(class_id: ClassId, timeline: Timeline) -> tuple[ClockView, ...]:
    """All the clocks of a class as clients saw them, the present one last."""
    return tuple(
        ClockView(
            class_id=class_id,
            n=timeline.revision + clock.events,
            script=timeline.revision,
            state=clock.state,
            noted_at_ms=clock.noted_ms,
            at_ms=clock.at_ms,
            class_ms=clock.class_ms,
            ran_ms=clock.ran_ms,
            duration_ms=clock.duration_ms,
            rests=clock.rests,
            programme=clock.programme,
        )
        for clock in clocks_of(timeline)
    )


class Room:
    """A room as this node holds it. `node` is this node's name; times are wall clock, ms since 1970.

    Revisions begin at the time of loading: what a node says after a restart, or after it had forgotten the room, is newer than
    anything it said under the same name before. `tape` is what its boards are recorded on, None where nobody does.
    """

    def __init__(self, live: LiveClass, node: str, now_ms: int) -> None:
        self.live = live
        self.channel: Final = channel_of(live.id)
        self.coaches_channel: Final = coaches_channel_of(live.id)
        self.board: Final = Board()
        self.private: Final = Private()
        self._filters: Final = Filters()
        self.clock: ClockView | None = None
        self.lobby: LobbyView | None = None
        self.stepping: Final = Stepping()
        self.cockpit: Final = Cockpit(live.id)
        self.pace: Final = RoomPace()
        self.cues: Final = Cues(live.id)
        self.muted: dict[AccountId, Mute] = {}
        self.taken_down: set[str] = set()
        self.idle_since: float | None = None
        self.to_name: Final[dict[AccountId, float]] = {}
        """Who came before anything was known of them here, and until when (monotonic) they are waited for."""
        self.feeds = 0
        self._node = node
        self.tape: Tape | None = None
        self.epoch: Final = secrets.token_hex(4)
        self._version = 0
        self._rev = now_ms * REVISIONS_PER_MS
        self._share_seq = 0
        self._own: dict[AccountId, ShareEntry] = {}
        self._bases: dict[AccountId, Basis] = {}
        self._rank_by(live.metric)
        self.board.team_by(live.team_rule)
        self._dirty: set[AccountId] = set()
        self._private_dirty: set[AccountId] = set()
        self._connections: dict[AccountId, set[str]] = {}
        self._accounts: dict[int, AccountId] = {}
        self._removals: dict[AccountId, int] = {}
        self._snapshot: tuple[int, Frame] | None = None
        self._peers: dict[str, int] = {}
        """The nodes that have told of this room, and how many rounds ago (`count_silence`)."""

    # -- what this node sees --------------------------------------------------------------------------------------

    def seat(self, membership: Membership, zone_ms: tuple[int, ...] = NOTHING, basis: Basis = UNKNOWN) -> None:
        """Put a known member on the board, not present, with what they have earned before; of the `basis` all but the baseline,
        which is theirs already."""
        self.take_removals(membership.account_id, membership.removals)
        if membership.account_id not in self._own:
            self._bases[membership.account_id] = basis._replace(baseline=membership.baseline)
            self._put(
                ShareEntry(
                    n=membership.n,
                    account_id=membership.account_id,
                    name=membership.name,
                    role=membership.role,
                    present=False,
                    feed_epoch=membership.feed_epoch,
                    rev=0,
                    bpm=None,
                    zone=None,
                    at_ms=None,
                    max_hr=DEFAULT_MAX_HR,
                    zone_ms=zone_ms,
                    finished=False,
                    first=membership.first,
                    showing=membership.showing,
                    team=membership.team,
                )
            )

    def has_seat(self, account_id: AccountId) -> bool:
        """Whether this node knows the member first-hand."""
        return account_id in self._own

    def enter(self, connection: Connection, membership: Membership | None) -> None:
        """A connection joins; with a membership (displays have none) its account becomes present."""
        connection.rooms.add(self.live.id)
        if membership is None:
            return
        self.seat(membership)
        self._connections.setdefault(membership.account_id, set()).add(connection.id)
        own = self._own[membership.account_id]
        off_ms = own.off_ms if connection.off_ms is None else connection.off_ms
        self._put(
            msgspec.structs.replace(
                own,
                present=True,
                role=membership.role,
                name=membership.name,
                team=membership.team,
                off_ms=off_ms,
            )
        )

    def take_off(self, connection: Connection) -> None:
        """A connection has said how far off its clock may be; of several of one account the last one counts."""
        account_id = connection.caller.account_id
        if connection.id in self._connections.get(account_id, ()) and self._own[account_id].off_ms != connection.off_ms:
            self._put(msgspec.structs.replace(self._own[account_id], off_ms=connection.off_ms))

    def leave(self, connection: Connection) -> bool:
        """A connection leaves; the member stays on the board with their score. Whether it was the last one of its account."""
        connection.rooms.discard(self.live.id)
        self._filters.forget(connection.id)
        account_id = connection.caller.account_id
        connections = self._connections.get(account_id)
        if connections is None:
            return False
        connections.discard(connection.id)
        self.stepping.forget(connection.id)
        self.private.forget(connection.id)
        if connections:
            return False
        del self._connections[account_id]
        self._put(msgspec.structs.replace(self._own[account_id], present=False, off_ms=None))
        return True

    def feed(
        self,
        account_id: AccountId,
        *,
        feed_epoch: int,
        bpm: int | None,
        zone: int | None,
        at_ms: int | None,
        max_hr: int,
        rest_hr: int | None = None,
        zone_ms: tuple[int, ...],
        basis: Basis = UNKNOWN,
        finished: bool = False,
        above_own: bool | None = None,
    ) -> None:
        """A stream's latest word about a member's heart rate and score, and what figures are made of but for the baseline, which
        stays. Of who was sent out nothing is told any more."""
        if self.is_out(account_id):
            return
        self._bases[account_id] = basis._replace(baseline=self._bases.get(account_id, UNKNOWN).baseline)
        self._put(
            msgspec.structs.replace(
                self._own[account_id],
                feed_epoch=feed_epoch,
                bpm=bpm,
                zone=zone,
                at_ms=at_ms,
                max_hr=max_hr,
                rest_hr=rest_hr,
                zone_ms=zone_ms,
                finished=finished,
                above_own=above_own,
            )
        )

    def step(self, account_id: AccountId, body: Body, readings: Readings) -> None:
        """What the stream that feeds a member's line has heard, for the steps of the class: they go on where they have got to, on
        whatever node. `feed` follows and tells it."""
        own = self._own[account_id]
        doing = self.stepping.heard(body, self._doing(account_id), readings)
        self._own[account_id] = msgspec.structs.replace(own, doing=doing)

    def feeds_for(self, account_id: AccountId, feed_epoch: int) -> bool:
        """Whether a stream of this feed epoch is still the one that counts: no newer was opened anywhere."""
        line = self.board.line(account_id)
        return line is None or line.feed.feed_epoch <= feed_epoch

    def account_of(self, n: int) -> AccountId | None:
        """Whose number this is, as far as any node has told."""
        return self._accounts.get(n)

    def connections_of(self, account_id: AccountId) -> Collection[str]:
        """The connections of a member to this room through this node."""
        return self._connections.get(account_id, ())

    def is_out(self, account_id: AccountId) -> bool:
        """Whether a member was sent out and not let back in, as far as this node has heard."""
        return is_out(self._removals.get(account_id, 0))

    def take_removals(self, account_id: AccountId, removals: int) -> bool:
        """Take what is said about how often a member was sent out and let back in; False when something newer is known."""
        if removals < self._removals.get(account_id, 0):
            return False
        if removals:
            self._removals[account_id] = removals
        return True

    def expel(self, account_id: AccountId) -> tuple[str, ...]:
        """A member was sent out: their line stands still. Their connections to this room through this node."""
        own = self._own.get(account_id)
        if own is not None:
            self._put(msgspec.structs.replace(own, bpm=None, zone=None, finished=True))
        return tuple(self._connections.get(account_id, ()))

    def take_end(self, ended_ms: int) -> bool:
        """Take what is said about the end of the class; False when it was known to be over."""
        if self.live.over:
            return False
        self.live = msgspec.structs.replace(self.live, ended_ms=ended_ms)
        return True

    def take_coaches(
        self, coach_id: AccountId, coach_name: str, co_coach_ids: tuple[AccountId, ...], coaches_n: int
    ) -> None:
        """Take what is said about who leads the class, unless something as new is known."""
        if coaches_n > self.live.coaches_n:
            self.live = msgspec.structs.replace(
                self.live, coach_id=coach_id, coach_name=coach_name, co_coach_ids=co_coach_ids, coaches_n=coaches_n
            )

    def take_ranking(self, metric: Metric, ranking_n: int) -> bool:
        """Take what the board is ranked by; False when something as new was known."""
        if ranking_n <= self.live.ranking_n:
            return False
        self.live = msgspec.structs.replace(self.live, metric=metric, ranking_n=ranking_n)
        self._rank_by(metric)
        for own in list(self._own.values()):
            self._put(own)
        return True

    def _rank_by(self, metric: Metric) -> None:
        self.board.rank_by(metric)
        self.private.board.rank_by(metric)

    def has_connections(self) -> bool:
        """Whether any account is connected to this room through this node."""
        return bool(self._connections)

    def _put(self, entry: ShareEntry) -> None:
        self._rev += 1
        figure = figure_of(self.live.metric, entry.zone_ms, self._bases.get(entry.account_id, UNKNOWN))
        entry = msgspec.structs.replace(entry, rev=self._rev, figure=figure)
        self._own[entry.account_id] = entry
        self._dirty.add(entry.account_id)
        self._shows(self._node, for_room(entry, entry.showing))
        if self._is_private(entry):
            self._private_dirty.add(entry.account_id)
            self.private.put(self._node, entry)

    def _is_private(self, entry: ShareEntry) -> bool:
        """Whether there is more to say of a member to the coaches than to the room, or there was."""
        return entry.showing is not None or sees_less(None, entry.figure) or self.private.board.knows(entry.account_id)

    def _shows(self, node: str, entry: ShareEntry) -> None:
        """An entry for the board that the room sees, and for its tape as far as the room may see it."""
        self._accounts[entry.n] = entry.account_id
        if self.board.put(node, entry) and self.tape is not None:
            self.tape.put(node, self.board.entry(node, entry.account_id))

    def _decided(self, account_id: AccountId, showing: Showing) -> None:
        """The boards of this node take a decision; on the tape it is what each node has said of that member, as it is shown now."""
        self.private.board.show(account_id, showing)
        if self.board.show(account_id, showing) and self.tape is not None:
            for node, entry in self.board.told_of(account_id):
                self.tape.put(node, entry)

    def _doing(self, account_id: AccountId) -> Doing | None:
        """Where a member is in the steps, as far as this node may know of it."""
        own = self._own.get(account_id)
        told = (self.board.doing(account_id), self.private.board.doing(account_id), None if own is None else own.doing)
        return furthest(told)

    def moved_in_steps(self, now_ms: int) -> dict[AccountId, StepRow]:
        """The members that have moved in their steps since this was last asked."""
        if self.live.over:
            return {}
        return self.stepping.moved(self._in_steps(), now_ms)

    def _in_steps(self) -> Iterator[tuple[AccountId, int, Doing]]:
        if not self.private:
            return self.board.in_steps()
        found = {account_id: (n, doing) for account_id, n, doing in self.board.in_steps()}
        found |= {account_id: (n, doing) for account_id, n, doing in self.private.board.in_steps()}
        found |= {own.account_id: (own.n, own.doing) for own in self._own.values() if own.doing is not None}
        return ((account_id, n, self._doing(account_id) or doing) for account_id, (n, doing) in found.items())

    def hidden(self) -> set[int]:
        """The numbers of those whom not even the coach sees."""
        if not self.private:
            return set()
        return {n for n, showing in self.board.showings().items() if showing is not None and showing.mode == "hidden"}

    def show(self, account_id: AccountId, showing: Showing) -> bool:
        """A member has decided how they are shown; False when one as new was known here. It holds for all that is said next."""
        if newer(self.board.showing(account_id), showing) is not showing:
            return False
        self._take_showing(account_id, showing)
        return True

    def coaches_here(self) -> tuple[str, ...]:
        """The connections to this room through this node of those who lead the class."""
        return tuple(
            connection_id
            for account_id, role, connection_id in self.seated()
            if role == "coach" and self.live.is_led_by(account_id)
        )

    # -- cues -----------------------------------------------------------------------------------------------------

    def note(self, frame: Frame) -> None:
        """An event of the room's log has come through here."""
        if frame.event == CUE_EVENT:
            here = [each.n for each in self.board.here() if not self.live.is_led_by(each.account_id)]
            self.cues.note(cue_of(frame), here)
        elif frame.event == ENDED_EVENT and (ended_ms := _ended(payload_of(frame)).ended_at_ms) is not None:
            self.take_end(ended_ms)

    def fit(self, frame: Frame, account_id: AccountId) -> Frame | None:
        """What of an event of the room's log is for this account; None: nothing. A display hears what is said to everybody."""
        to = audience_of(frame)
        if to is None or self.live.is_led_by(account_id):
            return frame
        own = self._own.get(account_id)
        return for_member(frame) if own is not None and own.n in to else None

    def addressed(self, frame: Frame, to: Collection[int]) -> list[tuple[str, Frame]]:
        """The connections to this room through this node that get an event for these numbers, with the form in which they do."""
        theirs = for_member(frame)
        led = [(account_id, connection_id) for account_id, _, connection_id in self.seated()]
        return [
            (connection_id, frame if self.live.is_led_by(account_id) else theirs)
            for account_id, connection_id in led
            if self.live.is_led_by(account_id) or self._own[account_id].n in to
        ]

    def receive(self, account_id: AccountId, position: str, now_ms: int, *, shown: bool) -> None:
        """A member's client acknowledges a cue. Raises `CueUnknown`, and `NotInRoom` for who is no member."""
        own = self._own.get(account_id)
        if own is None:
            raise NotInRoom
        receipt = self.cues.receipt(position, own.n, now_ms, shown=shown)
        self._put(msgspec.structs.replace(own, receipts=with_receipt(own.receipts, receipt, MAX_RECEIPTS)))

    def forget_receipts(self, now_ms: int) -> None:
        """Receipts that have been told for long enough are told no more."""
        for account_id, own in self._own.items():
            if own.receipts and any(now_ms - receipt.noted_ms > TELL_FOR_MS for receipt in own.receipts):
                kept = tuple(receipt for receipt in own.receipts if now_ms - receipt.noted_ms <= TELL_FOR_MS)
                self._own[account_id] = msgspec.structs.replace(own, receipts=kept)

    def in_zone(self, zone: int, now_ms: int) -> tuple[int, ...]:
        """The numbers of the athletes who are in a zone now."""
        return tuple(
            line.feed.n
            for line in self.lines_for_coach()
            if line.present and line.feed.role == "athlete" and zone_now(line, now_ms) == zone
        )

    # -- who is here ----------------------------------------------------------------------------------------------

    def seated(self) -> Iterator[tuple[AccountId, Role, str]]:
        """The connections of members to this room through this node, with account and role."""
        for account_id, connections in self._connections.items():
            for connection_id in connections:
                yield account_id, self._own[account_id].role, connection_id

    # -- between nodes --------------------------------------------------------------------------------------------

    def share(self, *, whole: bool) -> Share | None:
        """What changed here since the last share, or all of it; None when there is nothing to say."""
        accounts = self._own.keys() if whole else self._dirty
        if not accounts:
            return None
        self._share_seq += 1
        own = (self._own[account_id] for account_id in accounts)
        entries = tuple(for_room(entry, entry.showing) for entry in own)
        self._dirty.clear()
        return Share(node=self._node, epoch=self.epoch, seq=self._share_seq, whole=whole, entries=entries)

    def private_share(self, *, whole: bool) -> Share | None:
        """The same for the coaches' channel, of those who have ever decided how they are shown, or of whom the room may not see
        the figure that it is ranked by."""
        accounts = (
            [account_id for account_id, own in self._own.items() if self._is_private(own)]
            if whole
            else self._private_dirty
        )
        if not accounts:
            return None
        self._share_seq += 1
        own = (self._own[account_id] for account_id in accounts)
        entries = tuple(for_coach(entry, entry.showing) for entry in own)
        self._private_dirty.clear()
        return Share(node=self._node, epoch=self.epoch, seq=self._share_seq, whole=whole, entries=entries)

    def merge(self, share: Share) -> None:
        """Take what another node says. Idempotent, and indifferent to order."""
        self._peers[share.node] = 0
        for entry in share.entries:
            self._shows(share.node, entry)
            if entry.showing is not None:
                self._take_showing(entry.account_id, entry.showing)

    def merge_private(self, share: Share) -> None:
        """Take what another node says to the coaches. Of somebody whom they now know of, this node's own word counts with it: it
        is told to them from now on (`_is_private`), and must weigh here as it does there."""
        for entry in share.entries:
            self.private.put(share.node, entry)
            own = self._own.get(entry.account_id)
            if own is not None:
                self.private.put(self._node, own)
            if entry.showing is not None:
                self._take_showing(entry.account_id, entry.showing)

    def _take_showing(self, account_id: AccountId, showing: Showing) -> None:
        """What this node says of a member, and its boards, must fit a decision that another node knows of."""
        self._decided(account_id, showing)
        own = self._own.get(account_id)
        if own is not None and newer(own.showing, showing) is showing:
            self._put(msgspec.structs.replace(own, showing=showing))

    def count_silence(self) -> None:
        """One round is over in which every node that has this room has told a whole share, as far as it could be heard."""
        for node in self._peers:
            self._peers[node] += 1

    def forget_silent_nodes(self, gone: Callable[[str], bool]) -> None:
        """Nodes that are gone no longer make anybody present, nor do those that have forgotten this room and say nothing of it."""
        for node in [node for node, rounds in self._peers.items() if rounds >= SILENT_ROUNDS or gone(node)]:
            del self._peers[node]
            self.board.drop_node(node)
            self.private.board.drop_node(node)

    # -- to the members -------------------------------------------------------------------------------------------

    def beat(self, now_ms: int) -> Frame | None:
        """Bring the board up to `now_ms`; the changes as a frame, None when nothing changed."""
        changes = self.board.refresh(now_ms)
        if changes:
            self._version += 1
        if self.tape is not None:
            board = self.board
            self.tape.beat(now_ms, self._version, changes, board.silent, board.standing, board.metric, board.team_rule)
        if not changes:
            return None
        return event_frame(
            "board.changes",
            BoardChanges(
                class_id=self.live.id,
                epoch=self.epoch,
                v=self._version,
                at_ms=now_ms,
                rows=changes.rows,
                members=changes.members,
                gone=changes.gone,
                metric=changes.metric,
                figures=changes.figures,
                teams=changes.teams,
            ),
        )

    def private_beat(self, now_ms: int) -> Iterator[tuple[str, BoardPrivate]]:
        """After `beat`: what connections may see beyond the board that has changed since they were last told: of those who lead
        the class, and of whoever does not show everything to the room."""
        if not self.private:
            return
        coaches = self.coaches_here()
        if coaches:
            view = self.private.of_coach(self.live.id, self.board, now_ms)
            yield from ((coach, view) for coach in coaches if self.private.is_news(coach, view))
        yield from self._of_themselves(now_ms)

    def _of_themselves(self, now_ms: int) -> Iterator[tuple[str, BoardPrivate]]:
        for account_id, connections in self._connections.items():
            own = self._own[account_id]
            if self.live.is_led_by(account_id) or not (
                own.showing is not None or own.figure is not None or any(map(self.private.told, connections))
            ):
                continue
            view = self.private.of_themselves(self.live.id, own, self.board, now_ms)
            for connection_id in connections:
                if self.private.is_news(connection_id, view):
                    yield connection_id, view

    def filter(self, connection_id: str, wanted: Filter, friendships: Friendships, now_ms: int) -> BoardFiltered:
        """A connection wants to see this part of the board from now on: that part as the last beat told it."""
        parts = Parts(self.board.lines(), self.board.metric, friendships)
        places = () if wanted == EVERYBODY else parts.of(wanted)
        self._filters.want(connection_id, wanted, places)
        return self._filtered(wanted, places, now_ms)

    def filtered_beat(self, friendships: Friendships, now_ms: int) -> Iterator[tuple[str, BoardFiltered]]:
        """After `beat`: the connections for which others pass their filter, or in another order, than they were told."""
        if self._filters:
            parts = Parts(self.board.lines(), self.board.metric, friendships)
            for connection_id, wanted, places in self._filters.news(parts):
                yield connection_id, self._filtered(wanted, places, now_ms)

    def _filtered(self, wanted: Filter, places: Places, now_ms: int) -> BoardFiltered:
        friends = wanted.friends_of is not None
        return BoardFiltered(self.live.id, now_ms, wanted.here, wanted.age_group, places, friends)

    def snapshot(self, now_ms: int) -> BoardSnapshot:
        """The whole board at the version that the last beat told."""
        return BoardSnapshot(
            class_id=self.live.id,
            epoch=self.epoch,
            v=self._version,
            at_ms=now_ms,
            members=self.board.members(),
            rows=self.board.rows(),
            metric=self.board.metric,
            figures=self.board.figures(),
            teams=self.board.teams(),
        )

    def snapshot_frame(self, now_ms: int) -> Frame:
        """The snapshot as a frame, encoded once per version however many slow readers need it."""
        if self._snapshot is None or self._snapshot[0] != self._version:
            self._snapshot = (self._version, event_frame("board.snapshot", self.snapshot(now_ms)))
        return self._snapshot[1]

    def take_lobby(self, lobby: LobbyView) -> None:
        """Know who is ready; an older word than the one known here changes nothing."""
        if self.lobby is None or self.lobby.n < lobby.n:
            self.lobby = lobby

    def take_clock(self, clock: ClockView) -> bool:
        """Take what is said about the class clock; False when something as new was known."""
        if self.clock is not None and self.clock.n >= clock.n:
            return False
        self.clock = clock
        self.stepping.take_clock(clock)
        return True

    @property
    def window(self) -> Window | None:
        """When samples count, server time: in a heat while its clock runs, in any other class at all times (None)."""
        if not self.live.heat:
            return None
        if self.clock is None or self.clock.state != "running":
            return (0, 0)
        return (self.clock.at_ms, self.clock.at_ms + self.clock.duration_ms - self.clock.class_ms)

    def take_timeline(self, timeline: Timeline) -> None:
        """Take script and clock as they are stored."""
        self.stepping.take_script(timeline.revision, timeline.script)
        view = clock_view(self.live.id, timeline)
        if view is not None:
            self.take_clock(view)

    def member(self, account_id: AccountId) -> Member | None:
        """Somebody's entry on the board, as they may see it themselves."""
        own = self._own.get(account_id)
        if own is None or own.showing is None:
            return self.board.member(account_id)
        return Member(n=own.n, account_id=account_id, name=own.name, role=own.role, present=own.present, team=own.team)

    def named(self, account_id: AccountId) -> bool:
        """Whether the room may know that it is this person: they are known here, and have decided nothing against it."""
        member = self.board.member(account_id)
        return member is not None and member.account_id is not None

    def in_public(self, account_id: AccountId) -> Member | None:
        """Somebody as the room may call them."""
        return self.board.member(account_id)

    def lines_for_coach(self) -> tuple[Line, ...]:
        """What is known of everybody whom the coach of the class sees. Complete on a node that follows the coaches' channel: while
        a coach is connected to the room through it."""
        if not self.private:
            return self.board.lines()
        lines = {line.feed.n: line for line in self.board.lines()}
        return tuple((lines | {line.feed.n: line for line in self.private.board.seen()}).values())
