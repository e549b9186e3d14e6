"""Classes that are over, played to sockets as if they were live.

A player is one task that reads notes of a tape (playback.py), waits until each is due (pace.py) and tells it to one connection.
Events of a class that plays again keep their names and payloads inside `replay.board` and `replay.event`: a client hands the
payload to the very code that knows live boards, and one that does not know of replays, or is in the room of a live class as well,
can take none of them for the present.

**What is shown is shown by what holds now.** A note becomes an event when it is due. Every `LOOK_AGAIN_S` a player asks again who
is shown to its viewer; when that has changed, the whole board is told anew, also while the class stands still; and it ends when
there is nothing left that its viewer may see.

**A slow reader slows down its own player.** Boards are latest-only, like live ones. Before something that must arrive goes to a
reader whose mailbox is over its soft limit, class time stands still until that has been read. Another player never waits.

Full means: `PER_CONNECTION`, `PER_ACCOUNT` and `PER_NODE` players, or `MEMBERS_PER_NODE` in all their classes; one more is
refused, saying which. Each holds some seconds of its tape. Players end with their connection, at the end of the class, and when
the node stops: then each says where it was.
"""

import asyncio
import math
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, Literal

import structlog

from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.frame import Frame
from realtime.wire import (
    ClassTimeline,
    ReplayAt,
    Replayed,
    ReplayEnded,
    ReplayOpen,
    ReplayOpened,
    ReplayPace,
    ReplaySeek,
)
from rooms.pace import Pace
from rooms.playback import Playback, Shown, Viewing
from rooms.replay import Recording, Replay
from rooms.retelling import Retold
from rooms.room import clock_views, view_of
from rooms.tape import BrokenTapeError, Said
from services.kernel.clock import Clock, pause
from services.kernel.ids import AccountId, ClassId
from services.kernel.problems import Busy, Draining, InternalFault, Problem, ReplayNotOpen, TooManyReplays, Unavailable

PER_CONNECTION: Final = 2
"""A page shows one; two beside each other are compared."""
PER_ACCOUNT: Final = 4
PER_NODE: Final = 50
MEMBERS_PER_NODE: Final = 5_000
"""Of all the classes that play on a node together, because a large class costs more than a small one: 25 players of 200 take 6 %
of a core, 19 % at the highest speed; five of 1,000 take 12 and 55 % (`python -m tests.benchmarks.replay`)."""
BOARD_EVERY_MS: Final = 500
"""Between two boards on the screen: as often as most see a live one move."""
LOOK_AGAIN_S: Final = 5.0
BEHIND_S: Final = 0.1
"""How soon to look whether a slow reader has read."""
_DUE_S: Final = 0.000_5
"""What is due within this is due: instants are whole ms."""

log = structlog.get_logger(__name__)

_Key = tuple[Connection, ClassId]
_Why = Literal["over", "draining", "refused"]


@dataclass(eq=False, slots=True)
class _Player:
    """One class playing to one connection. `turn` counts how often it has begun, `from_ms` is where it did so last. `told_ms` is
    the instant of what was told last, `said` what was said at that instant, `stride_ms` how far the next board is from the last
    one at least. `wake` is set when its task has to look at what has changed."""

    connection: Connection
    recording: Recording
    viewing: Viewing
    pace: Pace
    from_ms: int
    looked_s: float
    turn: int = 0
    told_ms: int = 0
    said: list[Said] = field(default_factory=list)
    stride_ms: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    @property
    def class_id(self) -> ClassId:
        return self.recording.live.id

    @property
    def key(self) -> _Key:
        return self.connection, self.class_id

    def within(self, at_ms: float) -> int:
        """The nearest instant of the recording."""
        return min(max(int(at_ms), self.recording.begins_ms), self.recording.ends_ms)

    def begin(self, from_ms: int) -> None:
        """Have its task begin anew from there."""
        self.from_ms = from_ms
        self.turn += 1
        self.wake.set()

    def stride(self) -> int:
        """How far the next board is from the one that is shown now, at its speed."""
        self.stride_ms = _stride_ms(self.pace.speed)
        return self.stride_ms

    def has_told(self, note: Said | Retold, at_ms: int) -> None:
        """A note was dealt with."""
        if at_ms != self.told_ms:
            self.told_ms = at_ms
            self.said.clear()
        if isinstance(note, Said):
            self.said.append(note)

    def standing(self, now_s: float) -> ReplayAt:
        """Where it is."""
        return ReplayAt(self.class_id, self.within(self.pace.at(now_s)), self.pace.speed)


class Players:
    """The players of this node. `run` is the parent of their tasks."""

    def __init__(
        self,
        replay: Replay,
        clock: Clock,
        *,
        per_connection: int = PER_CONNECTION,
        per_account: int = PER_ACCOUNT,
        per_node: int = PER_NODE,
        members_per_node: int = MEMBERS_PER_NODE,
    ) -> None:
        self.opened = 0
        self._replay: Final = replay
        self._clock: Final = clock
        self._per_connection: Final = per_connection
        self._per_account: Final = per_account
        self._per_node: Final = per_node
        self._members_per_node: Final = members_per_node
        self._players: Final[dict[_Key, _Player]] = {}
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._stopping: Final = asyncio.Event()

    def __len__(self) -> int:
        return len(self._players)

    # -- what clients ask for ----------------------------------------------------------------------------------------

    async def open(self, connection: Connection, message: ReplayOpen) -> ReplayOpened:
        """Play a class to a connection. Raises what `Replay.recording` does, `TooManyReplays`, `Busy`, `Draining`."""
        key = connection, message.class_id
        self._refuse_too_many(key)
        recording = await self._replay.recording(connection.caller, message.class_id)
        # Others may have come meanwhile, or all may be at its end.
        self._refuse_too_many(key, len(recording.viewing.members))
        now_s = self._clock.monotonic()
        player = _Player(connection, recording, recording.viewing, Pace(0, now_s, message.speed), 0, now_s)
        player.from_ms = player.within(message.from_ms or 0)
        player.pace = Pace(player.from_ms, now_s, message.speed)
        if not connection.closed:
            self._drop(key)
            self._begin(player)
        viewer, live = recording.viewing.viewer, recording.live
        return ReplayOpened(
            room=view_of(live),
            begins_ms=recording.begins_ms,
            ends_ms=recording.ends_ms,
            at=player.standing(now_s),
            timeline=ClassTimeline(live.id, recording.timeline.script, clock_views(live.id, recording.timeline)),
            you=viewer.n if viewer is not None and viewer.n else None,
        )

    def pace(self, connection: Connection, message: ReplayPace) -> ReplayAt:
        """Go on at another speed, or stand still. Raises `ReplayNotOpen`."""
        player, now_s = self._open(connection, message.class_id), self._clock.monotonic()
        player.pace = player.pace.at_speed(message.speed, now_s)
        if player.told_ms and message.speed is not None and _stride_ms(message.speed) < player.stride_ms:
            # The next board was chosen for a faster one: another one lies nearer.
            player.begin(player.told_ms)
        player.wake.set()
        return player.standing(now_s)

    def seek(self, connection: Connection, message: ReplaySeek) -> ReplayAt:
        """Go on from another place. Raises `ReplayNotOpen`."""
        player, now_s = self._open(connection, message.class_id), self._clock.monotonic()
        at_ms = player.within(message.to_ms)
        player.pace = Pace(at_ms, now_s, player.pace.speed)
        player.told_ms = 0
        player.said.clear()
        player.begin(at_ms)
        return player.standing(now_s)

    def close(self, connection: Connection, class_id: ClassId) -> None:
        """Play it no longer. Harmless for a class that does not play."""
        self._drop((connection, class_id))

    def drop(self, connection: Connection) -> None:
        """A connection is gone."""
        for key in [key for key in self._players if key[0] is connection]:
            self._drop(key)

    # -- the node ----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Begin nothing more; each player says where it is, for its client to go on from there on another node. Again is fine."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        for player in tuple(self._players.values()):
            self._tell_end(player, "draining")
            self._drop(player.key)

    async def run(self) -> None:
        """Be there for the players until stopped or cancelled; then end with the last of them."""
        try:
            await self._stopping.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- keeping -----------------------------------------------------------------------------------------------------

    def _refuse_too_many(self, key: _Key, members: int = 0) -> None:
        if self._stopping.is_set():
            raise Draining
        if key in self._players:
            return
        connection, _ = key
        account_id = connection.caller.account_id
        if self._count(lambda player: player.connection is connection) >= self._per_connection:
            raise TooManyReplays("as many classes play on this connection as may", limit=self._per_connection)
        if self._count(lambda player: _account(player) == account_id) >= self._per_account:
            raise TooManyReplays("as many classes play for your account as may", limit=self._per_account)
        shown = sum(len(player.viewing.members) for player in self._players.values())
        if len(self._players) >= self._per_node or shown + members > self._members_per_node:
            raise Busy("as many classes play on this node as may; try again in a minute", retry_after_ms=60_000)

    def _count(self, which: Callable[[_Player], bool]) -> int:
        return sum(map(which, self._players.values()))

    def _open(self, connection: Connection, class_id: ClassId) -> _Player:
        player = self._players.get((connection, class_id))
        if player is None:
            raise ReplayNotOpen
        return player

    def _begin(self, player: _Player) -> None:
        self.opened += 1
        self._players[player.key] = player
        # It begins in the next turn of the loop, behind the answer that says so.
        name = f"replay {player.class_id} {player.connection.id}"
        player.task = task = asyncio.create_task(self._run(player), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _drop(self, key: _Key) -> None:
        player = self._players.pop(key, None)
        if player is not None and player.task is not None:
            player.task.cancel()

    # -- playing -----------------------------------------------------------------------------------------------------

    async def _run(self, player: _Player) -> None:
        """Play until the end of the class, and say how it ended."""
        why: _Why = "refused"
        problem: Problem | None = None
        try:
            await self._play(player)
            why = "over"
            player.pace = player.pace.held_at(player.recording.ends_ms, self._clock.monotonic())
        except Problem as refused:
            problem = refused
        except (OSError, TimeoutError):
            problem = Unavailable()
        except BrokenTapeError:
            log.exception("players.broken_tape", class_id=str(player.class_id))
            problem = InternalFault("a part of the recording cannot be read; what lies after it can: open it there")
        except Exception:
            log.exception("players.failed", class_id=str(player.class_id))
            problem = InternalFault()
        self._tell_end(player, why, problem)
        if self._players.get(player.key) is player:
            del self._players[player.key]

    async def _play(self, player: _Player) -> None:
        while True:
            turn = player.turn
            playback = self._replay.playback(
                player.recording, player.viewing, player.from_ms, player.stride, standing=True
            )
            async with aclosing(playback.notes()) as notes:
                async for note in notes:
                    if note in player.said:
                        continue  # it has begun again at the instant of that
                    # The board that stood at the place where it begins is older than that.
                    at_ms = max(note.at_ms, player.from_ms)
                    if not await self._due(player, playback, turn, at_ms, must=isinstance(note, Said)):
                        break
                    player.has_told(note, at_ms)
                    if (shown := playback.told(note)) is not None:
                        self._tell(player, playback, at_ms, shown)
                else:
                    if player.turn == turn:
                        return

    async def _due(self, player: _Player, playback: Playback, turn: int, at_ms: int, *, must: bool) -> bool:
        """Wait until it is time for something; False when the player has gone elsewhere meanwhile."""
        while player.turn == turn:
            player.wake.clear()
            now_s = self._clock.monotonic()
            look_s = player.looked_s + LOOK_AGAIN_S - now_s
            if look_s <= 0:
                await self._look_again(player, playback)
                continue
            wait_s = player.pace.wait_s(at_ms, now_s)
            if wait_s <= _DUE_S:
                if not (must and _is_behind(player.connection)):
                    return True
                player.pace = player.pace.held_at(at_ms, now_s)
                wait_s = BEHIND_S
            await pause(self._clock, min(wait_s, look_s), player.wake)
        return False

    async def _look_again(self, player: _Player, playback: Playback) -> None:
        """Ask who is shown to the viewer now. Raises `ClassNotFound`, `RemovedFromClass` and `Forbidden`."""
        player.looked_s = self._clock.monotonic()
        turn = player.turn
        viewing = await self._replay.viewing(player.connection.caller, player.class_id)
        if viewing == player.viewing:
            return
        player.viewing = viewing
        board = playback.renew(viewing)
        if board is not None and player.turn == turn:
            self._tell(player, playback, player.within(player.pace.at(self._clock.monotonic())), board)

    def _tell(self, player: _Player, playback: Playback, at_ms: int, shown: Shown) -> None:
        def frame(shown: Shown) -> Frame:
            event = "replay.board" if shown.event.startswith("board.") else "replay.event"
            return event_frame(event, Replayed(player.class_id, at_ms, shown.event, shown.payload))

        player.connection.push(
            frame(shown), key=f"replay:{player.class_id}", whole=lambda: frame(playback.whole(shown.at_ms))
        )

    def _tell_end(self, player: _Player, why: _Why, problem: Problem | None = None) -> None:
        at_ms = player.standing(self._clock.monotonic()).at_ms
        ended = ReplayEnded(player.class_id, at_ms, why, None if problem is None else problem.view())
        player.connection.push(event_frame("replay.ended", ended))


def _account(player: _Player) -> AccountId:
    return player.connection.caller.account_id


def _stride_ms(speed: float | None) -> int:
    return math.ceil(BOARD_EVERY_MS * (speed or 1.0))


def _is_behind(connection: Connection) -> bool:
    """Whether what was sent before is still to be read, so much of it that more would end the connection."""
    return connection.write_now is None and connection.mailbox.bytes > connection.mailbox.soft_bytes
