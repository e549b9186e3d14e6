"""The rooms of this node, and the one beat that moves them all.

A room is loaded from what is stored the first time somebody on this node needs it, and forgotten when nobody has needed it
for a while; nothing is lost by either. Once per beat what this node saw becomes one share for the other nodes, and each room's
board becomes one frame of changes for its members.

All nodes beat at the same instants, multiples of the beat on the wall clock, and share a little before: so a reading waits one
beat for its board wherever it came in. With beats that lay to each other as chance had it, one from another node waited up to two,
which was 300 ms at 6 Hz. Nodes whose clocks disagree are only as bad as that again.
"""

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from persistence.stores import Stores, Transactions
from realtime.codec import event_frame, payload_of
from realtime.connection import Connection
from realtime.feeds import Feeds
from realtime.frame import Frame
from realtime.limits import MAX_ROOMS, SHOWING_BURST, SHOWING_PER_SECOND, AccountAllowances
from realtime.node import Node
from realtime.peer import MemberShown, RoomClosed, Share, WholeWanted
from realtime.position import NOWHERE, Position, position_of
from realtime.presence import Presence
from realtime.register import NAMED_AT_ONCE, MemoryRegister, News
from realtime.room_log import Appended, LogAway
from realtime.wire import (
    BoardFilter,
    BoardFiltered,
    BoardSnapshot,
    ClassEndedView,
    LobbyView,
    Missed,
    RoomJoin,
    RoomJoined,
    RoomPresence,
    RoomReset,
    Said,
    StepRow,
    StepsProgress,
)
from rooms.audience import LET_IN_EVENT, REMOVED_EVENT, audience_of, removal_of, said_removed
from rooms.cockpits import Cockpits
from rooms.filtering import Filter
from rooms.friendships import Friendships
from rooms.knocking import Knocking
from rooms.named_now import retold
from rooms.room import ENDED_EVENT, Room, channel_of, view_of
from rooms.screen import Screen
from rooms.seating import admit, admit_rider, seat
from services.classes.live_class import LiveClass, Membership, may_enter
from services.classes.metric import Basis
from services.classes.showing import Showing
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import AccountId, ClassId
from services.kernel.problems import (
    ClassNotFound,
    ClassOver,
    Forbidden,
    NotInRoom,
    Problem,
    RateLimited,
    RemovedFromClass,
    TooManyRooms,
    Unavailable,
)
from services.limits.limits import Limits

WHOLE_SHARE_EVERY_S: Final = 5.0
"""How long a lost share can go unhealed."""
NAME_WITHIN_S: Final = 2 * WHOLE_SHARE_EVERY_S
"""How long somebody who came is waited for, to be named."""
SHARE_AHEAD: Final = 0.25
"""So much of a beat before the boards the shares go out: 42 ms at 6 Hz, in which they are on the other nodes also when these are
busy. Chosen by feeling; what misses its board is on the next one."""
STEPS_EVERY_S: Final = 1.0
"""How often an athlete and the coach are told of steps: as often as a heart rate comes."""
COCKPIT_EVERY_S: Final = 0.5
"""How often a coach is told who needs them, on a beat: attention is measured in seconds, and a heart rate comes once in one."""
AT_ONCE_S: Final = 0.002
"""A beat that has taken so long lets others have their turn before it goes on: what must arrive does not wait for all boards."""
FORGET_ROOM_AFTER_S: Final = 60.0
SETTLE_TIMEOUT_S: Final = 3.0
SAY_AGAIN_MS: Final = 1_000
PRIVATE: Final = "board.private"
FILTERED: Final = "board.filtered"
ENDED_KEY: Final = "class.ended"
"""Under which the end of a class is said, by whoever is first."""

log = structlog.get_logger(__name__)
_presence: Final = msgspec.json.Decoder(RoomPresence).decode

JoinNoted = Callable[[Connection, ClassId, RoomJoin], Awaitable[None]]
OnReset = Callable[[Room, Position], None]
WithheldFrom = Callable[[Room, Frame], Collection[Connection]]
OnLoad = Callable[[Room], None]


@dataclass(slots=True)
class RoomsStatistics:
    """Counts since start. `beat_seconds` is the time the last beat took over all rooms; `recovered` joins gave everything
    since a position, `not_recovered` could not prove it."""

    rooms: int = 0
    beats: int = 0
    frames: int = 0
    shares: int = 0
    beat_seconds: float = 0.0
    recovered: int = 0
    not_recovered: int = 0


class Rooms:
    """All rooms of this node. `flush` commits what streams have sent; set by the wiring (see `streams.py`). `on_join` is
    awaited before a join is answered (see `comebacks.py`); `on_load` gets each room before anybody is seated (see `tapes.py`);
    `withheld_from` says who in a room here is not to get an event that was said there (see `screening.py`). Without a `presence` of
    all nodes, who is there is known of this process alone; without `limits` of all nodes, this one counts by itself."""

    def __init__(
        self,
        node: Node,
        transactions: Transactions,
        clock: Clock,
        feeds: Feeds,
        *,
        board_hz: float,
        presence: Presence | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.node: Final = node
        self.limits: Final = limits or Limits(clock)
        self._presence = presence or Presence(node.id, MemoryRegister(lambda: int(clock.monotonic() * 1_000)), clock)
        self._presence.on_news = self._tell_presence
        self.feeds: Final = feeds
        self.knocking: Final = Knocking(self.limits)
        self._transactions = transactions
        self._clock = clock
        self._beat_s = 1.0 / board_hz
        self._rooms: dict[ClassId, Room] = {}
        self._by_channel: dict[str, Room] = {}
        self._decisions: Final = AccountAllowances(SHOWING_PER_SECOND, SHOWING_BURST)
        self._loading: dict[ClassId, asyncio.Future[Room]] = {}
        self._whole_wanted: set[ClassId] = set()
        self._next_whole = 0.0
        self._next_steps = 0.0
        self._next_cockpit = 0.0
        self._stopping = asyncio.Event()
        self.flush: Callable[[], Awaitable[None]] = _nothing_to_flush
        self.screen: Final = Screen()
        self.friends: Final = Friendships()
        self.on_join: JoinNoted = _nobody_notes
        self._on_reset: Final[list[OnReset]] = []
        self.withheld_from: WithheldFrom = _withheld_from_nobody
        self.on_load: OnLoad = _nobody_records
        self.cockpits: Final = Cockpits(node.hub, self._follow_for_coach)
        self.statistics: Final = RoomsStatistics()
        node.listen(Share, self._merge)
        node.listen(WholeWanted, self._want_whole)
        node.listen(RoomClosed, self._closed)
        node.listen(MemberShown, self._member_shown)
        node.on_gap(self._gap)
        feeds.on_reset = self._reset
        feeds.hand_out = self._hand_out
        feeds.on_delivered(self._presence_heard)

    # -- joining and leaving --------------------------------------------------------------------------------------

    async def join(self, connection: Connection, request: RoomJoin) -> RoomJoined:
        """Bring a connection into the room of a class. Joining again is allowed and returns a fresh board. With `since`, a
        member may also come back to a class that has ended meanwhile, for what they missed of it.

        Raises `ClassNotFound`, `TooManyAttempts`, `ClassOver`, `Forbidden`, `RemovedFromClass`, `ClassFull`, `TooManyRooms`,
        `Unavailable`, `BadShape` for a team that there is not; and what `admit` raises.
        """
        caller = connection.caller
        async with self._transactions() as stores:
            live = await self.knocking.class_of(stores.classes, caller, request.code, "$.code")
            returns = live.over and request.since is not None
            may_enter(live, caller, request.role, over=returns)
            if len(connection.rooms) >= MAX_ROOMS and live.id not in connection.rooms:
                raise TooManyRooms(limit=MAX_ROOMS)
            if not live.over and not live.is_led_by(caller.account_id):
                await admit(stores, live, caller, utc(self._clock.wall_ms()))
            await admit_rider(stores.heats, live, caller, "$.code")
            membership = None
            if "display" not in caller.roles:
                membership = await self._membership(stores, live, caller, request)
                await self.read_blocks(stores, caller)
                await self.read_friends(stores, caller)
        room = await self.load(live.id)
        await self.on_join(connection, live.id, request)
        missed = await self._missed(room, request.since)
        # From here on nothing waits: see the module.
        if connection.closed:
            raise NotInRoom
        if membership is not None:
            room.take_removals(caller.account_id, membership.removals)
        if room.is_out(caller.account_id):
            raise RemovedFromClass
        if returns and missed is None:
            raise ClassOver(class_id=str(live.id))
        self.enter(connection, room, membership)
        at = self.feeds.at(room.channel)
        return RoomJoined(
            room=view_of(room.live),
            board=room.snapshot(self._clock.wall_ms()),
            recovered=missed is not None,
            you=None if membership is None else room.member(caller.account_id),
            present=self._presence.tell_count(room.channel),
            position=None if at is None else str(at),
            clock=room.clock,
            lobby=room.lobby,
            missed=tuple(
                Missed(each.event, payload_of(each))
                for each in self.meant_for(caller, room, missed or ())
                if connection.hears is None or each.event in connection.hears
            ),
        )

    def enter(self, connection: Connection, room: Room, membership: Membership | None) -> None:
        """Let a connection in; from now on it hears what the others hear."""
        room.enter(connection, membership)
        if membership is not None:
            self._presence.enter(room.channel, membership.account_id)
        self.node.join(connection, room.channel)
        if membership is not None and membership.role == "coach" and room.live.is_led_by(membership.account_id):
            self._follow_for_coach(connection, room)

    def _follow_for_coach(self, connection: Connection, room: Room) -> None:
        """While a coach is connected through this node, it hears what other nodes say to coaches."""
        self._by_channel[room.coaches_channel] = room
        self.node.join(connection, room.coaches_channel)

    def meant_for(self, caller: Caller, room: Room, frames: Iterable[Frame]) -> Iterator[Frame]:
        """What of the events of a room's log is for somebody who comes back."""
        for frame in self.screen.shown(room, caller.account_id, frames):
            room.note(frame)
            fit = room.fit(frame, caller.account_id)
            if fit is not None:
                yield fit

    async def read_blocks(self, stores: Stores, caller: Caller) -> None:
        """Know whom the caller does not hear, before they hear anything. What is known already is kept right by itself."""
        if caller.account_id not in self.screen:
            blocked = (await stores.blocks.of((caller.account_id,)))[caller.account_id]
            if caller.account_id not in self.screen:
                self.screen.know(caller.account_id, blocked)

    async def read_friends(self, stores: Stores, caller: Caller) -> None:
        """Know with whom the caller is friends, before they filter a board by them. The same holds of it."""
        if caller.account_id not in self.friends:
            mark = self.friends.mark()
            friends = (await stores.friends.of((caller.account_id,)))[caller.account_id]
            if caller.account_id not in self.friends:
                self.friends.know(caller.account_id, friends, mark)

    async def _membership(self, stores: Stores, live: LiveClass, caller: Caller, request: RoomJoin) -> Membership:
        if live.over:
            found = await stores.classes.membership(live.id, caller.account_id)
            if found is None:
                raise ClassOver(class_id=str(live.id))
            if found.removed:
                raise RemovedFromClass
            return found
        now = utc(self._clock.wall_ms())
        return await seat(stores, live, caller.account_id, request.role, now, request.team)

    def may_decide(self, account_id: AccountId) -> None:
        """Raise `RateLimited` when somebody changes too often how they are shown."""
        now = self._clock.monotonic()
        bucket = self._decisions.of(account_id, now)
        if not bucket.take(now):
            raise RateLimited(
                "you have changed too often how you are shown; wait a moment",
                retry_after_ms=int(bucket.wait_s(now) * 1000) + 1,
            )

    async def shown(self, class_id: ClassId, account_id: AccountId, showing: Showing) -> None:
        """A member has decided how they are shown, and it is stored: here it holds before this returns, on the other nodes when
        they hear it. The room is loaded if it was not, so that what this node says of it repeats the decision."""
        self.node.publish(channel_of(class_id), MemberShown(account_id=account_id, showing=showing))
        try:
            room = await self.load(class_id)
        except (ClassNotFound, Unavailable) as problem:
            log.warning("rooms.showing_not_taken", class_id=str(class_id), problem=problem.message)
            return
        self.show(room, {account_id: showing})

    def show(self, room: Room, showings: Mapping[AccountId, Showing]) -> None:
        """Members have decided how they are shown: what is news here holds from now on."""
        news = [room.show(account_id, showing) for account_id, showing in showings.items()]
        if any(news):
            # At once, not with the next beat: what is asked for meanwhile must not tell the board of before.
            self._tell(room, self._clock.wall_ms())

    def _member_shown(self, channel: str, shown: MemberShown) -> None:
        room = self.of_channel(channel)
        if room is not None:
            self.show(room, {shown.account_id: shown.showing})

    async def missed(self, room: Room, since: Position) -> tuple[Frame, ...] | None:
        """What was said in a room since a position, with people as they are shown now; None when that cannot be proven. Raises
        `LogAway`."""
        frames = await self.feeds.missed(room.channel, since)
        return None if frames is None else retold(frames, room.board)

    async def _missed(self, room: Room, since: str | None) -> tuple[Frame, ...] | None:
        """What came since a position up to where the members here stand; None when that cannot be proven."""
        await self.feeds.known(room.channel)
        if since is None:
            return None
        try:
            missed = await self.missed(room, position_of(since))
        except LogAway as away:
            log.warning("rooms.log_away", room=room.channel, trouble=str(away))
            missed = None
        if missed is None:
            self.statistics.not_recovered += 1
        else:
            self.statistics.recovered += 1
        return missed

    def leave(self, connection: Connection, class_id: ClassId) -> None:
        """Take a connection out of a room. Raises `NotInRoom` when it is not in there."""
        room = self._rooms.get(class_id)
        if room is None or class_id not in connection.rooms:
            raise NotInRoom
        self._leave(room, connection)
        self.node.leave(connection, room.coaches_channel)
        self.node.leave(connection, room.channel)

    def drop(self, connection: Connection) -> None:
        """A connection is gone: take it out of all its rooms. Their scores stay."""
        for class_id in list(connection.rooms):
            room = self._rooms.get(class_id)
            if room is not None:
                self._leave(room, connection)

    def _leave(self, room: Room, connection: Connection) -> None:
        if room.leave(connection):
            self._presence.leave(room.channel, connection.caller.account_id)

    def board(self, connection: Connection, class_id: ClassId) -> BoardSnapshot:
        """The whole board, for a connection that is in the room."""
        room = self._rooms.get(class_id)
        if room is None or class_id not in connection.rooms:
            raise NotInRoom
        return room.snapshot(self._clock.wall_ms())

    def filter(self, connection: Connection, request: BoardFilter) -> BoardFiltered:
        """From now on a connection that is in the room sees this part of its board; who passes now. Raises `NotInRoom`, and
        `Forbidden` for an app that wants to know who is friends with whom."""
        room = self._rooms.get(request.class_id)
        if room is None or request.class_id not in connection.rooms:
            raise NotInRoom
        caller = connection.caller
        if request.friends and caller.scopes is not None:
            raise Forbidden("who your friends are is not for apps")
        wanted = Filter(request.here, request.age_group, caller.account_id if request.friends else None)
        return room.filter(connection.id, wanted, self.friends, self._clock.wall_ms())

    # -- the life of a room ---------------------------------------------------------------------------------------

    def get(self, class_id: ClassId) -> Room | None:
        """A room that is loaded here."""
        return self._rooms.get(class_id)

    def loaded(self) -> Collection[ClassId]:
        """The classes whose rooms are loaded here."""
        return self._rooms.keys()

    async def load(self, class_id: ClassId) -> Room:
        """The room of a class, loaded once however many ask at the same time. Raises `ClassNotFound`."""
        if class_id in self._rooms:
            room = self._rooms[class_id]
            room.idle_since = None  # somebody needs it again: not to be forgotten while they come in
            return room
        if class_id in self._loading:
            return await asyncio.shield(self._loading[class_id])
        loading: asyncio.Future[Room] = asyncio.get_running_loop().create_future()
        self._loading[class_id] = loading
        try:
            room = await self._load(class_id)
        except BaseException as cause:
            if isinstance(cause, Problem):
                loading.set_exception(cause)
                loading.exception()  # whoever waits gets it; nobody waiting is fine too
            else:
                loading.cancel()
            raise
        else:
            loading.set_result(room)
            return room
        finally:
            del self._loading[class_id]

    async def _load(self, class_id: ClassId) -> Room:
        async with self._transactions() as stores:
            live = await stores.classes.by_id(class_id)
            if live is None:
                raise ClassNotFound
            members = await stores.classes.members(class_id)
            tallies = {tally.account_id: tally for tally in await stores.streams.tallies(class_id)}
            timeline = await stores.timelines.of(class_id)
            lobby = None if live.group is None else await stores.lobbies.now(class_id)
            muted = await stores.moderation.mutes(class_id)
            taken_down = await stores.moderation.removed(class_id)
        room = Room(live, self.node.id, self._clock.wall_ms())
        self.on_load(room)
        for membership in members:
            tally = tallies.get(membership.account_id)
            if tally is None:
                room.seat(membership)
            else:
                burned = tally.earned.burned if tally.body else None
                basis = Basis(burned, moved=tally.moved, mass_kg=tally.mass_kg)
                room.seat(membership, tally.earned.zone_ms, basis)
        room.take_timeline(timeline)
        if lobby is not None:
            room.take_lobby(LobbyView(class_id, lobby.ready, lobby.n))
        room.muted = muted
        room.taken_down = taken_down
        room.beat(self._clock.wall_ms())
        self._rooms[class_id] = self._by_channel[room.channel] = room
        self.node.follow(room.channel)
        self._presence.follow(room.channel)
        self.feeds.follow(room.channel)
        return room

    async def settle(self, class_id: ClassId) -> None:
        """Before a class ends: commit what its streams have sent, as far as that is possible in a few seconds."""
        try:
            await asyncio.wait_for(self.flush(), SETTLE_TIMEOUT_S)
        except TimeoutError:
            log.warning("rooms.settle_timeout", class_id=str(class_id))

    async def ended(self, live: LiveClass) -> None:
        """A class is over: everybody in the room hears it, here and on the other nodes. When its log is away now, a worker says
        it later (workers/handlers.py), under the same key."""
        room = self._rooms.get(live.id)
        if room is not None:
            room.live = live
        ended_ms = live.ended_ms or self._clock.wall_ms()
        self.node.publish(channel_of(live.id), RoomClosed(class_id=live.id, ended_ms=ended_ms))
        try:
            await self.say(live.id, ENDED_EVENT, ended_view(live), key=ENDED_KEY)
        except Unavailable as problem:
            log.warning("rooms.end_not_said", class_id=str(live.id), problem=problem.message)

    # -- what must arrive -----------------------------------------------------------------------------------------

    def say(self, class_id: ClassId, event: str, shape: msgspec.Struct, *, key: str) -> "asyncio.Future[Said]":
        """Say an event to everybody in the room of a class, on every node, through its log: each member gets it, in the same
        order, or is told that something is missing. `shape` has `NOWHERE` for its `position`; the one it got is in the answer.
        Said again with the same `key` it is not repeated. The future raises `Unavailable`: then it may have been said or not."""
        said: asyncio.Future[Said] = asyncio.get_running_loop().create_future()

        def settle(appended: "asyncio.Future[Appended]") -> None:
            if said.done():
                return  # nobody waits any more
            if appended.cancelled():
                said.cancel()
            elif (fault := appended.exception()) is None:
                said.set_result(Said(str(appended.result().position)))
            elif isinstance(fault, LogAway):
                problem = Unavailable(
                    "the room's log does not take this right now; send it again with the same key",
                    retry_after_ms=SAY_AGAIN_MS,
                )
                problem.__cause__ = fault
                said.set_exception(problem)
            else:
                said.set_exception(fault)  # of ours: whoever waits must not wait for ever

        self.feeds.begin(channel_of(class_id), event, shape, key).add_done_callback(settle)
        return said

    def _hand_out(self, channel: str, frame: Frame) -> None:
        """Give an event of a room's log to those here it is for."""
        room = self._by_channel.get(channel)
        if room is not None:
            room.note(frame)
        to = None if room is None else audience_of(frame)
        if room is None or to is None:
            self.node.broadcast(channel, frame, without=() if room is None else self.withheld_from(room, frame))
            return
        moved = removal_of(frame) if frame.event in (REMOVED_EVENT, LET_IN_EVENT) else None
        if moved is not None and not room.take_removals(moved.account_id, moved.removals):
            return  # told late, of a time before what is known
        for connection_id, theirs in room.addressed(frame, to):
            connection = self.node.hub.get(connection_id)
            if connection is not None:
                connection.push(theirs)
        if moved is not None and room.is_out(moved.account_id):
            self._expel(room, moved.account_id)

    def _expel(self, room: Room, account_id: AccountId) -> None:
        """A member was sent out: their connections here leave."""
        for connection_id in room.expel(account_id):
            connection = self.node.hub.get(connection_id)
            if connection is not None:
                self.leave(connection, room.live.id)

    async def read_again(self, stores: Stores, room: Room) -> bool:
        """Bring a room up to what is stored of who leads it, who was sent out, what was taken down and whether it is over: True
        where nobody here had heard that it is."""
        live = await stores.classes.by_id(room.live.id)
        members = await stores.classes.members(room.live.id)
        room.taken_down.update(await stores.moderation.removed(room.live.id))
        over = False
        if live is not None:
            over = live.ended_ms is not None and room.take_end(live.ended_ms)
            room.take_coaches(live.coach_id, live.coach_name, live.co_coach_ids, live.coaches_n)
            room.take_ranking(live.metric, live.ranking_n)
        for membership in members:
            was_out = room.is_out(membership.account_id)
            room.take_removals(membership.account_id, membership.removals)
            if not was_out and room.is_out(membership.account_id):
                self._tell_removed(room, membership)
                self._expel(room, membership.account_id)
        return over

    def _tell_removed(self, room: Room, member: Membership) -> None:
        """Somebody was sent out, which this node has read and not heard. When the log says it, they are gone: so it is said now."""
        at = self.feeds.at(room.channel)
        position = NOWHERE if at is None else str(at)
        said = said_removed(room.live.id, member.account_id, member.n, member.removals, position)
        frame = event_frame(REMOVED_EVENT, said)
        for connection_id in room.connections_of(member.account_id):
            connection = self.node.hub.get(connection_id)
            if connection is not None:
                connection.push(frame)

    def on_reset(self, handler: OnReset) -> None:
        """Call `handler(room, position)` each time events of a room may have been missed here, up to a position; just before its
        members here are told so."""
        self._on_reset.append(handler)

    def _reset(self, channel: str, position: Position) -> None:
        room = self.of_channel(channel)
        if room is None:
            return
        for handler in self._on_reset:
            handler(room, position)
        if self.node.count(channel):
            board = room.snapshot(self._clock.wall_ms())
            reset = RoomReset(
                room=view_of(room.live), board=board, clock=room.clock, lobby=room.lobby, position=str(position)
            )
            self.node.broadcast(channel, event_frame("room.reset", reset))
            self._presence.may_have_missed(channel)

    # -- the beat -------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask `run` to return. May be called again."""
        self._stopping.set()

    def share_whole(self) -> None:
        """Tell the other nodes everything this node knows first-hand: the last word before it stops."""
        for room in self._rooms.values():
            if (share := room.share(whole=True)) is not None:
                self.node.publish(room.channel, share)

    async def run(self) -> None:
        """Beat until stopped."""
        ahead = self._beat_s * SHARE_AHEAD
        while not self._stopping.is_set():
            await self._clock.sleep(max(until_beat(self._clock.wall_ms() / 1000 + ahead, self._beat_s), 0.01))
            began = self._clock.monotonic()
            self.publish_shares()
            shared = self._clock.monotonic()
            await self._clock.sleep(max(began + ahead - shared, 0.0))
            spent, since = shared - began, self._clock.monotonic()
            for _ in self._boards():
                if self._clock.monotonic() - since >= AT_ONCE_S:
                    spent += self._clock.monotonic() - since
                    await asyncio.sleep(0)
                    since = self._clock.monotonic()
            self.statistics.beat_seconds = spent + self._clock.monotonic() - since

    def beat(self) -> None:
        """A whole beat at once."""
        self.publish_shares()
        self.broadcast_boards()

    def publish_shares(self) -> None:
        """What was seen here since the last beat, to the other nodes."""
        now = self._clock.monotonic()
        whole = now >= self._next_whole
        if whole:
            self._next_whole = now + WHOLE_SHARE_EVERY_S
        # Whoever does not hear the others cannot say that one of them is silent.
        counts = whole and self.node.standing.fresh
        for class_id, room in self._rooms.items():
            if whole:
                room.forget_receipts(self._clock.wall_ms())
            if counts:
                room.count_silence()
            share = room.share(whole=whole or class_id in self._whole_wanted)
            if share is not None:
                self.node.publish(room.channel, share)
                self.statistics.shares += 1
            private = room.private_share(whole=whole or class_id in self._whole_wanted)
            if private is not None:
                self.node.publish(room.coaches_channel, private)
        self._whole_wanted.clear()

    def broadcast_boards(self) -> None:
        """Every board to its members, all at once."""
        for _ in self._boards():
            pass

    def _boards(self) -> Iterator[None]:
        """Every board to its members, part after part: between two of them others may have their turn."""
        now_ms, now = self._clock.wall_ms(), self._clock.monotonic()
        steps_due = now >= self._next_steps
        if steps_due:
            self._next_steps = now + STEPS_EVERY_S
        cockpit_due = now >= self._next_cockpit
        if cockpit_due:
            self._next_cockpit = now + COCKPIT_EVERY_S
        for room in list(self._rooms.values()):
            room.forget_silent_nodes(self.node.gone)
            self._tell(room, now_ms)
            if room.to_name:
                self._name_late(room, now)
            yield
            if steps_due:
                self._tell_steps(room, now_ms)
                yield
            if cockpit_due:
                self.cockpits.tell(room, now_ms)
                yield
            self._forget_if_idle(room, now)
        self.statistics.beats += 1
        self.statistics.rooms = len(self._rooms)

    def _tell(self, room: Room, now_ms: int) -> None:
        frame = room.beat(now_ms)
        if frame is not None:
            self.statistics.frames += self.node.broadcast(
                room.channel, frame, key=room.channel, whole=lambda: room.snapshot_frame(now_ms)
            )
        for connection_id, view in room.private_beat(now_ms):
            connection = self.node.hub.get(connection_id)
            if connection is not None:
                connection.push(event_frame(PRIVATE, view), key=f"private {room.channel}")
        for connection_id, filtered in room.filtered_beat(self.friends, now_ms):
            connection = self.node.hub.get(connection_id)
            if connection is not None:
                connection.push(event_frame(FILTERED, filtered), key=f"filtered {room.channel}")

    def _tell_steps(self, room: Room, now_ms: int) -> None:
        """To each athlete where they are now, to the coach everybody who has moved."""
        moved = room.moved_in_steps(now_ms)
        hidden = room.hidden()
        key = f"steps {room.channel}"

        def frame(rows: tuple[StepRow, ...]) -> Frame:
            return event_frame("steps.progress", StepsProgress(class_id=room.live.id, at_ms=now_ms, rows=rows))

        def whole() -> Frame:
            return frame(tuple(row for row in room.stepping.rows() if row.n not in hidden))

        for account_id, role, connection_id in room.seated():
            connection = self.node.hub.get(connection_id)
            if connection is None:
                continue
            if role == "coach" and room.live.is_led_by(account_id) and room.stepping.rows():
                if not room.stepping.knows(connection_id):
                    connection.push(whole(), key=key)
                elif rows := tuple(row for row in moved.values() if row.n not in hidden):
                    connection.push(frame(rows), key=key, whole=whole)
            elif account_id in moved:
                connection.push(frame((moved[account_id],)), key=key)

    def leading_here(self) -> set[AccountId]:
        """The accounts that are connected to a room through this node and lead its class."""
        callers = (self.node.hub.get(each) for room in self._rooms.values() for each in room.coaches_here())
        return {connection.caller.account_id for connection in callers if connection is not None}

    def _forget_if_idle(self, room: Room, now: float) -> None:
        if room.feeds or room.has_connections() or self.node.count(room.channel):
            room.idle_since = None
        elif room.idle_since is None:
            room.idle_since = now
        elif now - room.idle_since >= FORGET_ROOM_AFTER_S:
            del self._rooms[room.live.id], self._by_channel[room.channel]
            self._by_channel.pop(room.coaches_channel, None)
            self.node.unfollow(room.channel)
            self.feeds.unfollow(room.channel)
            self._presence.unfollow(room.channel)
            if room.tape is not None:
                room.tape.over = True

    # -- who is there ---------------------------------------------------------------------------------------------

    async def _tell_presence(self, channel: str, news: News) -> None:
        """It fell to this node to announce who came and who left: everybody in the room hears it, on every node. Raises
        `Unavailable` when the room's log does not take it, asked twice."""
        room = self.of_channel(channel)
        if room is None:
            return
        # Who is not known here yet may be somebody who is not to be named: the share of their node will tell.
        joined = tuple(account_id for account_id in news.joined if room.named(account_id))
        until = self._clock.monotonic() + NAME_WITHIN_S
        room.to_name.update({each: until for each in news.joined if room.board.member(each) is None})
        for account_id in news.left:
            room.to_name.pop(account_id, None)
        left = tuple(account_id for account_id in news.left if room.named(account_id))
        event = RoomPresence(class_id=room.live.id, count=news.count, joined=joined, left=left, position=NOWHERE)
        key = f"presence:{secrets.token_hex(8)}"
        try:
            await self.say(room.live.id, "room.presence", event, key=key)
        except Unavailable:
            await self.say(room.live.id, "room.presence", event, key=key)

    def _presence_heard(self, channel: str, frame: Frame) -> None:
        if frame.event == "room.presence":
            self._presence.heard(channel, _presence(payload_of(frame)).count)

    def _name_late(self, room: Room, now: float) -> None:
        """Name those who came and were not known here when it was told how many are there, and who are there still."""
        known = {each: member for each in room.to_name if (member := room.board.member(each)) is not None}
        joined = tuple(each for each, member in known.items() if member.present and room.named(each))
        for account_id in [*known, *(each for each, until in room.to_name.items() if until < now)]:
            room.to_name.pop(account_id, None)
        if 0 < len(joined) <= NAMED_AT_ONCE:
            count = self._presence.tell_count(room.channel)
            event = RoomPresence(class_id=room.live.id, count=count, joined=joined, left=(), position=NOWHERE)
            said = self.say(room.live.id, "room.presence", event, key=f"presence:{secrets.token_hex(8)}")
            said.add_done_callback(_names_may_be_lost)

    # -- from other nodes -----------------------------------------------------------------------------------------

    def _merge(self, channel: str, share: Share) -> None:
        room = self.of_channel(channel)
        if room is None:
            return
        if channel == room.coaches_channel:
            room.merge_private(share)
        else:
            room.merge(share)

    def _want_whole(self, channel: str, _: WholeWanted) -> None:
        room = self.of_channel(channel)
        if room is not None:
            self._whole_wanted.add(room.live.id)

    def _gap(self, channels: tuple[str, ...]) -> None:
        """These channels begin to be heard: what was said before was missed, so ask, and say everything oneself."""
        for channel in channels:
            room = self.of_channel(channel)
            if room is not None:
                self._whole_wanted.add(room.live.id)
                self.node.publish(room.channel, WholeWanted(node=self.node.id))

    def _closed(self, channel: str, closed: RoomClosed) -> None:
        room = self.of_channel(channel)
        if room is not None:
            room.take_end(closed.ended_ms)

    def of_channel(self, channel: str) -> Room | None:
        """The room that speaks on a channel, if it is loaded here."""
        return self._by_channel.get(channel)


def until_beat(wall_s: float, beat_s: float) -> float:
    """Seconds until the next multiple of the beat on the wall clock; a whole beat on one. Pure."""
    return (math.floor(wall_s / beat_s) + 1) * beat_s - wall_s


def ended_view(live: LiveClass) -> ClassEndedView:
    """A class that is over, for the room's log."""
    return ClassEndedView(**msgspec.structs.asdict(view_of(live)), position=NOWHERE)


def _names_may_be_lost(said: "asyncio.Future[Said]") -> None:
    """The log may be away: the number counts, names are for saying so."""
    if not said.cancelled() and (problem := said.exception()) is not None:
        log.warning("rooms.names_not_said", trouble=str(problem))


async def _nobody_notes(connection: Connection, class_id: ClassId, request: RoomJoin) -> None:
    """Nobody keeps records of who is in which room."""


def _nobody_records(room: Room) -> None:
    """Nobody keeps what the board of a room was made of."""


def _withheld_from_nobody(room: Room, frame: Frame) -> Collection[Connection]:
    """Everybody gets everything."""
    return ()


async def _nothing_to_flush() -> None:
    """No streams on this node."""
