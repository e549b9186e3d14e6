"""The tapes of this node's rooms on their way into the database, off the path of samples and boards.

Each room that is loaded here gets a tape (tape.py). Every few seconds all of them are cut and the pieces written in one
transaction. Nobody waits for it: no acknowledgement, no board. So a node that dies loses what its tapes had not written, at most
`CUT_EVERY_S` of how boards looked on it. Nothing that was acknowledged is lost by that: samples and marks are committed on their
own (recorder.py), the tapes of other nodes have what this one had told them, and the score goes on from the samples.

Full means: `MAX_WAITING_BYTES` of pieces while Postgres is away. The newest piece is then given up and counted, and the tape goes
on with a whole one: a player sees where one is missing (retelling.py).
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

import structlog

from persistence.stores import Transactions
from persistence.tapes import Piece
from realtime.codec import payload_of
from realtime.frame import Frame
from realtime.sparingly import Sparingly
from rooms.room import Room
from rooms.rooms import Rooms
from rooms.tape import Tape, without_name
from services.kernel.clock import Clock, pause
from services.kernel.problems import Problem

CUT_EVERY_S: Final = 5.0
"""How much of how a board looked a node can lose when it dies, and how often a piece is written for each room."""
MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
AT_ONCE: Final = 64
"""Pieces in one transaction."""
RECORDED: Final = frozenset({"class.clock", "class.ended", "cue", "chat.said"})
"""Events of the room's log that belong to how a class went. Who was there is on the boards."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class TapesStatistics:
    """Counts since start: `pieces` and `size` in bytes written, `lost` pieces for want of room, `failures` to write."""

    pieces: int = 0
    size: int = 0
    lost: int = 0
    failures: int = 0


class Tapes:
    """See the module. `stop` has what is there written, as far as Postgres answers."""

    def __init__(
        self, rooms: Rooms, transactions: Transactions, clock: Clock, *, max_waiting_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        self.statistics: Final = TapesStatistics()
        self._rooms: Final = rooms
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._say: Final = Sparingly(log, clock.monotonic)
        self._max_waiting_bytes: Final = max_waiting_bytes
        self._tapes: dict[str, Tape] = {}
        self._waiting: deque[Piece] = deque()
        self._waiting_bytes = 0
        self._writing: Final = asyncio.Lock()
        self._stopping = asyncio.Event()
        rooms.on_load = self._begin
        rooms.feeds.on_delivered(self._delivered)

    def _begin(self, room: Room) -> None:
        tape = Tape(room.live.id, room.epoch, self._rooms.node.id, self._keep)
        self._tapes[room.epoch] = room.tape = tape

    def _delivered(self, channel: str, frame: Frame) -> None:
        if frame.event not in RECORDED:
            return
        room = self._rooms.of_channel(channel)
        if room is not None and room.tape is not None:
            room.tape.said(self._clock.wall_ms(), frame.event, without_name(bytes(payload_of(frame))))

    def _keep(self, piece: Piece) -> None:
        if self._waiting_bytes + len(piece.notes) > self._max_waiting_bytes:
            self._lost(piece)
            self._say.warning("tapes.full", cause="full", waiting=len(self._waiting))
            return
        self._waiting.append(piece)
        self._waiting_bytes += len(piece.notes)

    # -- writing ----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask `run` to write what is there and return. May be called again."""
        self._stopping.set()

    async def run(self) -> None:
        """Cut and write until stopped."""
        while not self._stopping.is_set():
            await pause(self._clock, CUT_EVERY_S, self._stopping)
            await self.write()
        await self.write()

    async def write(self) -> None:
        """Cut all tapes and write their pieces, as far as the database takes them now; one write after the other."""
        async with self._writing:
            for name, tape in list(self._tapes.items()):
                tape.cut()
                if tape.over:
                    del self._tapes[name]
            while self._waiting and await self._write_some(AT_ONCE):
                pass

    async def _write_some(self, most: int) -> bool:
        """Write up to `most` pieces; whether the database answers. A piece that it will not take must not hold up the others."""
        pieces = [self._waiting[n] for n in range(min(len(self._waiting), most))]
        try:
            async with self._transactions() as stores:
                await stores.tapes.add(pieces)
        except (Problem, OSError, TimeoutError) as problem:
            # Written again with the next round; what was written after all is left out then.
            self.statistics.failures += 1
            self._say.warning("tapes.not_written", cause="write", problem=str(problem), waiting=len(self._waiting))
            return False
        except Exception:
            self.statistics.failures += 1
            if len(pieces) > 1:
                return await self._write_some(1)
            log.exception("tapes.piece_dropped", tape=pieces[0].tape, piece=pieces[0].n)
            self._lost(self._taken(1)[0])
            return True
        for piece in self._taken(len(pieces)):
            self.statistics.size += len(piece.notes)
        self.statistics.pieces += len(pieces)
        return True

    def _taken(self, count: int) -> list[Piece]:
        taken = [self._waiting.popleft() for _ in range(count)]
        self._waiting_bytes -= sum(len(piece.notes) for piece in taken)
        return taken

    def _lost(self, piece: Piece) -> None:
        self.statistics.lost += 1
        tape = self._tapes.get(piece.tape)
        if tape is not None:
            tape.lose()
