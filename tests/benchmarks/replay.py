"""Tapes in figures: `python -m tests.benchmarks.replay`, or with all the others in `make bench`. Some twenty seconds, without any
server.

A room of so many athletes at 1 Hz beats six times a second for a minute of class time, once with a tape and once without: the
difference is what recording costs. Then the tape is played, frame by frame, which is how fast a class can be shown again; and as
players on sockets play it, which is what each of them costs while it plays.
"""

import asyncio
import math
import random
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec

from persistence.tapes import Piece
from realtime.codec import event_frame
from realtime.wire import FASTEST_REPLAY, Replayed
from rooms.effort import Effort, advance
from rooms.playback import Playback, Viewing
from rooms.players import BOARD_EVERY_MS
from rooms.retelling import Retelling
from rooms.room import Room
from rooms.tape import Said, Tape, notes_of
from rooms.tapes import CUT_EVERY_S
from services.classes.live_class import LiveClass, Membership
from services.kernel.ids import AccountId, ClassId
from services.training.sample import Sample
from services.training.zones import zone_of
from tests.benchmarks.proc import cores, read_parts, used_parts
from tests.benchmarks.render_replay import replays
from tests.benchmarks.results import ReplayRun

HZ: Final = 6
SECONDS: Final = 60
CLASSES: Final = (50, 200, 1_000)
MAX_HR: Final = 190
NOW_MS: Final = 1_790_000_000_000
LIVE: Final = LiveClass(ClassId(uuid.UUID(int=77)), "ABCD", "Spin", AccountId(uuid.UUID(int=1)), "Kim", NOW_MS)


def people(athletes: int) -> list[Membership]:
    """Members of a class of so many."""
    return [
        Membership(AccountId(uuid.UUID(int=n << 64)), f"Athlete {n}", n, "athlete", 1) for n in range(1, athletes + 1)
    ]


def ride(athletes: int, seconds: int, pieces: list[Piece] | None) -> float:
    """Let a class ride; the CPU that its room took, in seconds. With `pieces` it is recorded there."""
    chance = random.Random(athletes)
    room = Room(LIVE, "node-1", NOW_MS)
    tape = None if pieces is None else Tape(LIVE.id, room.epoch, "node-1", pieces.append)
    room.tape = tape
    members = people(athletes)
    for member in members:
        room.seat(member)
    efforts = {member.n: Effort(last_bpm=120 + member.n % 50) for member in members}
    took = 0.0
    for beat in range(seconds * HZ):
        now_ms = NOW_MS + beat * 1_000 // HZ
        for member in members[beat % HZ :: HZ]:
            before = efforts[member.n].last_bpm or 0
            sample = Sample(now_ms - NOW_MS, min(max(before + chance.choice((-1, 0, 1)), 100), 180))
            efforts[member.n] = effort = advance(efforts[member.n], (sample,), MAX_HR)
            began = time.process_time()
            room.feed(
                member.account_id,
                feed_epoch=1,
                bpm=sample.bpm,
                zone=zone_of(sample.bpm or 0, MAX_HR),
                at_ms=now_ms,
                max_hr=MAX_HR,
                zone_ms=effort.zone_ms,
            )
            took += time.process_time() - began
        began = time.process_time()
        room.beat(now_ms)
        if tape is not None and (beat + 1) % round(HZ * CUT_EVERY_S) == 0:
            tape.cut()
        took += time.process_time() - began
    if tape is not None:
        tape.cut()
    return took


def play(pieces: list[Piece]) -> tuple[int, int]:
    """Play a tape: how many frames it has, and how many of them are as they were told."""
    retelling, frames, same = Retelling(), 0, 0
    for piece in pieces:
        for note in retelling.play(piece.n, notes_of(piece.notes)):
            if not isinstance(note, Said) and note[1] is not None:
                frames += 1
                same += note[1].same is True
    return frames, same


async def tell(pieces: list[Piece], athletes: int, speed: float) -> int:
    """Make every event that a player at this speed tells; how many they are."""

    @asynccontextmanager
    async def stores() -> AsyncIterator[SimpleNamespace]:
        async def notes(_: ClassId, __: str, n: int) -> bytes:
            return pieces[n - 1].notes

        yield SimpleNamespace(tapes=SimpleNamespace(notes=notes))

    stride_ms = math.ceil(BOARD_EVERY_MS * speed)
    heads = [msgspec.structs.replace(piece, notes=b"") for piece in pieces]
    viewing = Viewing(tuple(people(athletes)))
    playback = Playback(cast(Any, stores), LIVE.id, heads, viewing, every_ms=lambda: stride_ms, standing=True)
    told = 0
    async for note in playback.notes():
        if (shown := playback.told(note)) is not None:
            event_frame("replay.board", Replayed(LIVE.id, shown.at_ms, shown.event, shown.payload))
            told += 1
    return told


def player_ms(pieces: list[Piece], athletes: int, speed: float, seconds: int) -> float:
    """CPU of a player while it plays so many seconds of class at this speed, ms a second."""
    began = time.process_time()
    asyncio.run(tell(pieces, athletes, speed))
    return 1_000 * (time.process_time() - began) / (seconds / speed)


def measure(athletes: int, seconds: int = SECONDS) -> ReplayRun:
    """Measure one size."""
    before = read_parts({})
    pieces: list[Piece] = []
    bare_s, taped_s = ride(athletes, seconds, None), ride(athletes, seconds, pieces)
    began = time.process_time()
    frames, same = play(pieces)
    played_s = time.process_time() - began
    alone_ms, fast_ms = (player_ms(pieces, athletes, speed, seconds) for speed in (1.0, FASTEST_REPLAY))
    spent = used_parts(before, read_parts({}), len(cores()))
    return ReplayRun(
        athletes=athletes,
        seconds=seconds,
        bare_ms=round(1_000 * bare_s / seconds, 2),
        taped_ms=round(1_000 * taped_s / seconds, 2),
        sample_bytes=round(sum(len(piece.notes) for piece in pieces) / athletes / seconds, 1),
        frames=frames,
        differ=frames - same,
        played_s=round(played_s, 3),
        player_ms=round(alone_ms, 2),
        fast_player_ms=round(fast_ms, 2),
        others=round(spent.others, 3),
    )


def main() -> None:
    """Print the table."""
    print(replays([measure(athletes) for athletes in CLASSES]))


if __name__ == "__main__":
    main()
