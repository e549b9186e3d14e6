"""`paceline class replay`, on a real database."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import pytest

from paceline.__main__ import main
from persistence.database import open_database
from services.classes.class_clock import Start
from services.classes.script import Block, Interval, Script
from services.classes.timelines import ScriptDraft
from services.kernel.clock import ManualClock
from tests.rooms.conftest import World
from tests.rooms.test_tapes import Ride
from tests.support.postgres import PostgresServer
from tests.support.world import SEALING_KEYS

BEGAN_MS = ManualClock().wall_ms()
SCRIPT = Script(blocks=(Block(intervals=(Interval(duration_ms=60_000),)),))


async def rode(server: PostgresServer) -> tuple[str, str, str]:
    """A database with a class of ten seconds that is on tape; its code and its id."""
    dsn = await server.fresh()
    async with open_database(dsn, size=5) as database:
        world = World(database)
        ride = await Ride.begin(world, "Ada", "Bob")
        node, live, coach = ride.nodes[0], ride.live, ride.coach.caller
        await node.timelines.save_script(coach, live.id, ScriptDraft(SCRIPT))
        await node.timelines.control(coach, live.id, Start(), None)
        await ride.ride(10)
        for each in ride.nodes:
            await each.tapes.write()
        await world.close()
    return dsn, live.code, str(live.id)


@pytest.fixture(scope="module")
def ridden(postgres: PostgresServer) -> tuple[str, str, str]:
    """The class that these tests look at."""
    return asyncio.run(rode(postgres))


@pytest.fixture
def code(ridden: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Its join code, with the settings that lead to it."""
    monkeypatch.setenv("DATABASE_URL", ridden[0])
    monkeypatch.setenv("PACELINE_SEALING_KEYS", SEALING_KEYS)
    return ridden[1]


def test_it_plays_again_by_code_or_id(
    code: str, ridden: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["class", "replay", code.lower(), "--speed", "max"]) == 0
    told = capsys.readouterr().out
    lines = [json.loads(line) for line in told.splitlines()]
    boards = [line["payload"] for line in lines if line["event"].startswith("board.")]
    assert lines[0]["event"] == "board.snapshot"
    assert {member["name"] for board in boards for member in board.get("members", ())} == {"Mia", "Ada", "Bob"}
    assert lines[-1]["class_ms"] == lines[-1]["at_ms"] - BEGAN_MS
    assert main(["class", "replay", ridden[2], "--speed", "max"]) == 0
    assert capsys.readouterr().out == told


def test_it_plays_from_where_one_wants(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["class", "replay", code, "--speed", "max", "--from", "5"]) == 0
    first, *rest = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (first["event"], len(first["payload"]["rows"])) == ("board.snapshot", 2)
    assert 3 <= len(rest) <= 6


def test_the_check_says_that_all_is_equal(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["class", "replay", code, "--check"]) == 0
    assert "Equal: " in capsys.readouterr().out
    assert main(["class", "replay", code, "--check", "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (len(verdict["tapes"]), verdict["strange"], verdict["several"]) == (2, [], [])


@contextmanager
def changed(dsn: str, statement: str, undo: str) -> Iterator[None]:
    """Somebody changes the database by hand, and back."""

    async def act(statement: str) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(act(statement))
    try:
        yield
    finally:
        asyncio.run(act(undo))


def test_the_check_says_what_is_not(
    ridden: tuple[str, str, str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    louder, as_before = (f"UPDATE sample_batches SET bpm[1] = bpm[1] {by}" for by in ("+ 50", "- 50"))
    with changed(ridden[0], louder, as_before):
        assert main(["class", "replay", code, "--check"]) == 1
    shown = capsys.readouterr().out
    assert "Scores that no samples come to were shown of members 2, 3." in shown
    assert shown.endswith("Not equal.\n")


def test_a_piece_that_cannot_be_read_is_said(
    ridden: tuple[str, str, str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, as_before = (
        "UPDATE class_tapes SET notes = 'x'::bytea || notes",
        "UPDATE class_tapes SET notes = substr(notes, 2)",
    )
    with changed(ridden[0], damage, as_before):
        assert main(["class", "replay", code, "--check"]) == 1
    assert "a piece of the tape cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("which", "found"),
    [("ZZZZZZ", "there is no class ZZZZZZ"), ("01930000-0000-7000-8000-000000000000", "there is no class 0193")],
)
def test_a_class_that_is_not_there_is_said(
    code: str, which: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["class", "replay", which]) == 2
    assert found in capsys.readouterr().err
