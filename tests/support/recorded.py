"""Classes that are over and were recorded, of any size, without riding them: the code that makes live tapes makes theirs."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from persistence.tapes import Piece
from realtime.connection import Connection
from realtime.mailbox import Mailbox
from realtime.wire import Row
from rooms.effort import Effort, advance
from rooms.room import Room
from rooms.tape import Tape
from services.classes.class_clock import Event, Paused, Resumed, Started
from services.classes.live_class import LiveClass, Membership
from services.classes.script import Block, Interval, Script, ScriptCue, ZoneTarget
from services.classes.team import TeamRow
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.ids import LoginId
from services.training.sample import Sample
from services.training.zones import zone_of
from tests.rooms.conftest import Line
from tests.support.world import World

MAX_HR: Final = 190
SCRIPT: Final = Script(
    blocks=(
        Block(title="Warm up", intervals=(Interval(30_000, targets=(ZoneTarget(1, 2),)),)),
        Block(
            title="Hills",
            repeat=3,
            intervals=(
                Interval(20_000, title="Up", targets=(ZoneTarget(4, 5),)),
                Interval(10_000, title="Down", targets=(ZoneTarget(2, 3),)),
            ),
        ),
        Block(title="Cool down", intervals=(Interval(30_000, targets=(ZoneTarget(1, 1),)),)),
    ),
    cues=(ScriptCue(30_000, "First hill"), ScriptCue(120_000, "Breathe out")),
)
"""Two and a half minutes."""


@dataclass(frozen=True)
class Recorded:
    """A class as it was: `names` of its members by number; `boards` and `teams` are what stood on everybody's screen from an
    instant (wall clock) on."""

    live: LiveClass
    begins_ms: int
    ends_ms: int
    names: dict[int, str]
    boards: tuple[tuple[int, tuple[Row, ...]], ...]
    teams: tuple[tuple[int, tuple[TeamRow, ...]], ...]

    def board_at(self, at_ms: int) -> tuple[Row, ...]:
        """The rows that stood on the board at an instant."""
        return [rows for told_ms, rows in self.boards if told_ms <= at_ms][-1]

    def teams_at(self, at_ms: int) -> tuple[TeamRow, ...]:
        """The teams that stood beside it."""
        return [rows for told_ms, rows in self.teams if told_ms <= at_ms][-1]


async def recorded_class(
    world: World,
    coach: Caller,
    riders: Sequence[Caller],
    *,
    athletes: int = 0,
    seconds: int = 210,
    title: str = "Hills",
    teams: tuple[str, ...] = (),
) -> Recorded:
    """A class of `riders` and of others up to `athletes`, in turn in these `teams`, which began so many seconds ago and has just
    ended. Its clock began after 20 s and stood from 80 to 100 s; the coach said something at 65 s."""
    world_ms = world.clock.wall_ms()
    begins_ms = world_ms - seconds * 1_000
    live = await world.live_class(coach, title)
    members = await _members(world, live, riders, athletes, teams)
    live = msgspec.structs.replace(live, created_ms=begins_ms, ended_ms=world_ms, teams=teams)
    pieces, boards, team_boards = _ride(live, members, begins_ms, seconds)
    async with world.transactions() as stores:
        for piece in pieces:
            await stores.tapes.add((piece,))
        await stores.timelines.save_script(live.id, SCRIPT, 1, utc(begins_ms))
        events: tuple[Event, ...] = (
            Started(begins_ms + 20_000, begins_ms + 20_000),
            Paused(begins_ms + 80_000),
            Resumed(begins_ms + 100_000, begins_ms + 100_000),
        )
        for n, event in enumerate(events, start=1):
            await stores.timelines.add(live.id, n, event, None)
        await stores.tx.execute("UPDATE classes SET created_at = $2 WHERE id = $1", live.id, utc(begins_ms))
        assert await stores.classes.end(live.id, utc(world_ms))
    names = {member.n: member.name for member in members}
    return Recorded(live, begins_ms, max(piece.ends_ms for piece in pieces), names, tuple(boards), tuple(team_boards))


async def _members(
    world: World, live: LiveClass, riders: Sequence[Caller], athletes: int, teams: tuple[str, ...]
) -> list[Membership]:
    for rider in riders:
        await world.enter(live, rider)
    async with world.transactions() as stores:
        await stores.tx.execute(
            """
            WITH people AS (
                INSERT INTO accounts (id, email, name, password_hash, roles, created_at)
                SELECT gen_random_uuid(), lower($1) || '-' || i || '@example.org', 'Person ' || i, 'hash', '{member}', now()
                FROM generate_series($2::integer + 1, $3::integer) AS i
                RETURNING id
            ),
            numbered AS (SELECT id, $2::integer + row_number() OVER () AS i FROM people)
            INSERT INTO class_members (class_id, account_id, n, role, joined_at)
            SELECT $4, id, i, 'athlete', now() FROM numbered
            """,
            live.code,
            len(riders),
            max(athletes, len(riders)),
            live.id,
        )
        if teams:
            await stores.tx.execute("UPDATE classes SET teams = $2 WHERE id = $1", live.id, list(teams))
            await stores.tx.execute(
                "UPDATE class_members SET team = n % $2 WHERE class_id = $1 AND role = 'athlete'", live.id, len(teams)
            )
        return await stores.classes.members(live.id)


def _ride(
    live: LiveClass, members: Sequence[Membership], begins_ms: int, seconds: int
) -> tuple[list[Piece], list[tuple[int, tuple[Row, ...]]], list[tuple[int, tuple[TeamRow, ...]]]]:
    chance = random.Random(len(members))
    pieces: list[Piece] = []
    boards: list[tuple[int, tuple[Row, ...]]] = []
    teams: list[tuple[int, tuple[TeamRow, ...]]] = []
    room = Room(live, "node-1", begins_ms)
    room.tape = tape = Tape(live.id, room.epoch, "node-1", pieces.append)
    for member in members:
        caller = Caller(member.account_id, LoginId(member.account_id), member.name, frozenset({"member"}), 2**53)
        room.enter(Connection(str(member.n), caller, Mailbox(), Line(), opened_at=0.0), member)
    efforts = {member.n: Effort() for member in members}
    bpm = {member.n: 110 + member.n * 7 % 60 for member in members}
    for second in range(seconds):
        now_ms = begins_ms + second * 1_000
        for member in members:
            n = member.n
            bpm[n] = min(max(bpm[n] + chance.choice((-2, -1, 0, 1, 2)), 90), 185)
            efforts[n] = effort = advance(efforts[n], (Sample(second * 1_000, bpm[n]),), MAX_HR)
            room.feed(
                member.account_id,
                feed_epoch=1,
                bpm=bpm[n],
                zone=zone_of(bpm[n], MAX_HR),
                at_ms=now_ms,
                max_hr=MAX_HR,
                zone_ms=effort.zone_ms,
            )
        room.beat(now_ms)
        boards.append((now_ms, room.board.rows()))
        teams.append((now_ms, room.board.teams()))
        if second == 65:
            cue = {
                "class_id": str(live.id),
                "text": "Shoulders down",
                "at_ms": now_ms,
                "position": "0f3a9c41-000000000012",
            }
            tape.said(now_ms, "cue", msgspec.json.encode({**cue, "to": None}))
        if second % 5 == 4:
            tape.cut()
    tape.said(begins_ms + seconds * 1_000, "class.ended", msgspec.json.encode({"id": str(live.id), "state": "over"}))
    tape.cut()
    return pieces, boards, teams
