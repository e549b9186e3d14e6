"""Tapes in figures: `python -m tests.benchmarks.replay`. A minute, without any server.

A room of so many athletes at 1 Hz beats six times a second for a minute of class time, once with a tape and once without: the
difference is what recording costs. Then the tape is played, frame by frame, which is how fast a class can be shown again.
"""

import random
import time
import uuid
from dataclasses import dataclass
from typing import Final

from persistence.tapes import Piece
from rooms.effort import Effort, advance
from rooms.retelling import Retelling
from rooms.room import Room
from rooms.tape import Said, Tape, notes_of
from rooms.tapes import CUT_EVERY_S
from services.classes.live_class import LiveClass, Membership
from services.kernel.ids import AccountId, ClassId
from services.training.sample import Sample
from services.training.zones import zone_of

HZ: Final = 6
SECONDS: Final = 60
CLASSES: Final = (50, 200, 1_000)
MAX_HR: Final = 190
NOW_MS: Final = 1_790_000_000_000
LIVE: Final = LiveClass(ClassId(uuid.UUID(int=77)), "ABCD", "Spin", AccountId(uuid.UUID(int=1)), "Kim", NOW_MS)


@dataclass(frozen=True)
class Figures:
    """Of one size: CPU of the boards in ms per second of class without and with a tape, bytes of tape per sample, frames on it and
    those of them that came out the same, seconds to play them."""

    athletes: int
    bare_ms: float
    taped_ms: float
    sample_bytes: float
    frames: int
    same: int
    played_s: float


def ride(athletes: int, seconds: int, pieces: list[Piece] | None) -> float:
    """Let a class ride; the CPU that its room took, in seconds. With `pieces` it is recorded there."""
    chance = random.Random(athletes)
    room = Room(LIVE, "node-1", NOW_MS)
    tape = None if pieces is None else Tape(LIVE.id, room.epoch, "node-1", pieces.append)
    room.tape = tape
    members = [
        Membership(AccountId(uuid.UUID(int=n << 64)), f"Athlete {n}", n, "athlete", 1) for n in range(1, athletes + 1)
    ]
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


def measure(athletes: int, seconds: int = SECONDS) -> Figures:
    """Measure one size."""
    pieces: list[Piece] = []
    bare_s, taped_s = ride(athletes, seconds, None), ride(athletes, seconds, pieces)
    began = time.process_time()
    frames, same = play(pieces)
    return Figures(
        athletes=athletes,
        bare_ms=1_000 * bare_s / seconds,
        taped_ms=1_000 * taped_s / seconds,
        sample_bytes=sum(len(piece.notes) for piece in pieces) / athletes / seconds,
        frames=frames,
        same=same,
        played_s=time.process_time() - began,
    )


def main() -> None:
    """Print the table."""
    print(
        "| athletes | boards, ms of CPU a second | with a tape | tape, bytes per sample | frames a second | faster than life |"
    )
    print("|---:|---:|---:|---:|---:|---:|")
    for athletes in CLASSES:
        found = measure(athletes)
        print(
            f"| {athletes:,} | {found.bare_ms:.1f} | {found.taped_ms:.1f} | {found.sample_bytes:.1f} "
            f"| {found.frames / found.played_s:,.0f} | {SECONDS / found.played_s:,.0f} times |"
        )


if __name__ == "__main__":
    main()
