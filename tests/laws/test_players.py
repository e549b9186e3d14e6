"""Classes that play again, without any server: in time for an hour, and complete whatever is done to their pace.

The tape is kept in memory, the clock is moved by hand from one event to the next.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.tapes import Piece
from realtime.connection import Connection
from realtime.frame import Frame
from realtime.mailbox import Mailbox, Verdict
from realtime.wire import FASTEST_REPLAY, SLOWEST_REPLAY, BoardSnapshot, ReplayOpen, ReplayPace, ReplaySeek
from rooms.pace import Pace
from rooms.playback import Playback, Shown, Viewing
from rooms.players import Players
from rooms.replay import Recording
from rooms.room import Room
from rooms.tape import Tape
from services.classes.live_class import LiveClass, Membership
from services.classes.timeline import Timeline
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, ClassId, LoginId
from services.training.zones import zone_of
from tests.rooms.conftest import Line
from tests.rooms.test_rooms import Screen

BEGAN_MS = 1_790_000_000_000
COACH = Membership(AccountId(uuid.UUID(int=9 << 64)), "Mia", 9, "coach")
ADA = Membership(AccountId(uuid.UUID(int=1 << 64)), "Ada", 1, "athlete")
LIVE = LiveClass(ClassId(uuid.UUID(int=77)), "ABCD", "Spin", COACH.account_id, "Mia", BEGAN_MS, BEGAN_MS + 3_600_000)
speeds = st.floats(SLOWEST_REPLAY, FASTEST_REPLAY)


def recorded(seconds: int, board_every_s: int) -> list[Piece]:
    """A class of one athlete whose board moves so often, to whom something is said every minute."""
    pieces: list[Piece] = []
    room = Room(LIVE, "node-1", BEGAN_MS)
    room.tape = tape = Tape(LIVE.id, room.epoch, "node-1", pieces.append)
    room.seat(ADA)
    for second in range(0, seconds, board_every_s):
        now_ms = BEGAN_MS + second * 1_000
        bpm = 120 + second % 50
        room.feed(
            ADA.account_id,
            feed_epoch=1,
            bpm=bpm,
            zone=zone_of(bpm, 190),
            at_ms=now_ms,
            max_hr=190,
            zone_ms=(0, 0, 0, second * 1_000, 0, 0),
        )
        room.beat(now_ms)
        if second % 60 == 0:
            said = {"class_id": str(LIVE.id), "text": f"Minute {second // 60}", "at_ms": now_ms + 700, "to": None}
            tape.said(now_ms + 700, "cue", msgspec.json.encode(said))
        tape.cut()
    return pieces


class Library:
    """The recording in memory; what `Players` asks of a `Replay`."""

    def __init__(self, pieces: list[Piece]) -> None:
        self._notes = {piece.n: piece.notes for piece in pieces}
        self.read = 0
        self._recording = Recording(
            LIVE,
            [msgspec.structs.replace(piece, notes=b"") for piece in pieces],
            Timeline(),
            Viewing((ADA, COACH), ADA),
        )

    async def recording(self, *_: object) -> Recording:
        return self._recording

    async def viewing(self, *_: object) -> Viewing:
        return self._recording.viewing

    def playback(
        self, recording: Recording, viewing: Viewing, from_ms: int, every_ms: Callable[[], int], *, standing: bool
    ) -> Playback:
        return Playback(
            cast(Any, self._stores), LIVE.id, recording.pieces, viewing, from_ms, every_ms=every_ms, standing=standing
        )

    @asynccontextmanager
    async def _stores(self) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(tapes=self)

    async def notes(self, _: ClassId, __: str, n: int) -> bytes:
        self.read += 1
        return self._notes[n]

    async def whole(self) -> list[Shown]:
        """Everything there is, as it would come live."""
        playback = self.playback(self._recording, self._recording.viewing, 0, lambda: 0, standing=False)
        return [shown async for note in playback.notes() if (shown := playback.told(note)) is not None]


class Stopwatch(Mailbox):
    """A mailbox that is read at once, and keeps when everything came."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.told: list[tuple[float, str, dict[str, Any]]] = []

    def put(self, frame: Frame, *, key: str | None = None, whole: Callable[[], Frame] | None = None) -> Verdict:
        name, payload = msgspec.json.decode(frame.text[frame.text.index("[") :])
        self.told.append((self._clock.monotonic(), name, payload))
        return Verdict.QUEUED


class Seat:
    """Somebody before a class that plays again."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.clock = ManualClock()
        self.shelf = Library(pieces)
        self.players = Players(cast(Any, self.shelf), self.clock)
        self.mailbox = Stopwatch(self.clock)
        caller = Caller(ADA.account_id, LoginId(uuid.UUID(int=5)), "Ada", frozenset({"member"}), 2**50)
        self.connection = Connection("c", caller, self.mailbox, Line(), opened_at=0.0)

    async def settle(self) -> None:
        """Let everything that can happen at this instant happen."""
        for _ in range(6):
            await self.clock.advance(0)

    async def at(self, instant_s: float) -> None:
        """Let time pass up to an instant, stopping now and then for what is to be done there."""
        while (left := instant_s - self.clock.monotonic()) > 1e-9:
            await self.clock.advance(min(left, 5.0))
            await self.settle()

    def told(self) -> list[tuple[str, int]]:
        return [
            (payload["event"], payload["at_ms"]) for _, name, payload in self.mailbox.told if name != "replay.ended"
        ]


@pytest.mark.parametrize("speed", [1.0, 16.0])
async def test_an_hour_plays_without_a_ms_of_drift(speed: float) -> None:
    seat = Seat(recorded(3_600, 30))
    everything = await seat.shelf.whole()
    began_s = seat.clock.monotonic()
    await seat.players.open(seat.connection, ReplayOpen(class_id=LIVE.id, speed=speed))
    for each in everything:
        # Up to just before the instant of each event it has not come, and then it has.
        due_s = began_s + (each.at_ms - BEGAN_MS) / 1_000 / speed
        await seat.at(due_s)
        await seat.settle()
        assert seat.told()[-1] == (each.event, each.at_ms)
        assert seat.mailbox.told[-1][0] == pytest.approx(due_s, abs=0.001)
    assert seat.told() == [(each.event, each.at_ms) for each in everything]
    await seat.settle()
    assert seat.mailbox.told[-1][1:] == (
        "replay.ended",
        {"class_id": str(LIVE.id), "at_ms": everything[-1].at_ms, "why": "over"},
    )
    assert len(seat.players) == 0


async def test_what_was_said_comes_once_whatever_is_done_to_the_pace() -> None:
    seat = Seat(recorded(600, 1))
    said = [each.at_ms for each in await seat.shelf.whole() if each.event == "cue"]
    await seat.players.open(seat.connection, ReplayOpen(class_id=LIVE.id, speed=16))
    for speed in (16, 0.5, None, 16, 1, 8, 2, None, 4, 16, 0.25, 16, 16, 16, 16, 16):
        await seat.at(seat.clock.monotonic() + 4.3)
        if len(seat.players):
            seat.players.pace(seat.connection, ReplayPace(class_id=LIVE.id, speed=speed))
    await seat.at(seat.clock.monotonic() + 60)
    assert [at_ms for event, at_ms in seat.told() if event == "cue"] == said
    assert seat.mailbox.told[-1][1] == "replay.ended"


async def test_whoever_slows_down_does_not_wait_for_a_board_that_was_chosen_for_a_faster_one() -> None:
    seat = Seat(recorded(120, 1))
    await seat.players.open(seat.connection, ReplayOpen(class_id=LIVE.id, speed=16))
    await seat.at(seat.clock.monotonic() + 2.1)
    seat.players.pace(seat.connection, ReplayPace(class_id=LIVE.id, speed=1))
    await seat.settle()
    before = len(seat.told())
    await seat.at(seat.clock.monotonic() + 3)
    assert len(seat.told()) - before >= 2
    seat.players.drop(seat.connection)
    await seat.settle()


@given(second=st.integers(0, 117), stands=st.booleans())
def test_a_seek_shows_the_board_as_it_stood_there(second: int, stands: bool) -> None:
    async def story() -> None:
        seat = Seat(PIECES)
        screen: Screen | None = None
        to_ms = BEGAN_MS + second * 1_000
        for each in await seat.shelf.whole():
            if each.event == "board.snapshot":
                screen = Screen(msgspec.json.decode(each.payload, type=BoardSnapshot))
            elif each.event == "board.changes" and each.at_ms <= to_ms:
                assert screen is not None
                screen.read([(each.event, msgspec.json.decode(each.payload))])
        await seat.players.open(seat.connection, ReplayOpen(class_id=LIVE.id, speed=None if stands else 1.0))
        await seat.settle()
        seat.mailbox.told.clear()
        at = seat.players.seek(seat.connection, ReplaySeek(class_id=LIVE.id, to_ms=to_ms))
        await seat.settle()
        seen = [payload for _, name, payload in seat.mailbox.told if name == "replay.board"]
        assert at.at_ms == to_ms
        assert {payload["at_ms"] for payload in seen} == {to_ms}
        first, *rest = seen
        shown = Screen(msgspec.json.decode(msgspec.json.encode(first["payload"]), type=BoardSnapshot))
        shown.read([(payload["event"], payload["payload"]) for payload in rest])
        assert screen is not None
        assert shown.rows == screen.rows
        seat.players.drop(seat.connection)
        await seat.settle()

    asyncio.run(story())


PIECES = recorded(120, 3)


@given(
    changes=st.lists(st.tuples(st.floats(0, 600), st.none() | speeds), max_size=20),
    at_ms=st.integers(BEGAN_MS, BEGAN_MS + 3_600_000),
)
def test_a_change_of_pace_moves_nobody(changes: list[tuple[float, float | None]], at_ms: int) -> None:
    now_s, place_ms = 1_000.0, float(at_ms)
    pace = Pace(at_ms, now_s, 1.0)
    for after_s, speed in changes:
        place_ms += after_s * 1_000 * (pace.speed or 0)
        now_s += after_s
        pace = pace.at_speed(speed, now_s)
        assert pace.at(now_s) == pytest.approx(place_ms, abs=0.1)
        assert pace.wait_s(int(place_ms) + 1_000, now_s) > 0
        assert pace.wait_s(int(place_ms) - 1, now_s) <= 0
