"""`paceline challenge`, on a real database and on files."""

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from paceline.__main__ import main
from persistence.database import open_database
from services.kernel.caller import Caller
from services.kernel.ids import AccountId, LoginId, WorkoutId
from tests.services.training.recordings.real import needs_recordings
from tests.support.challenged import Challenged
from tests.support.judged import Judged, cheats, outing
from tests.support.postgres import PostgresServer
from tests.support.recordings_ride import RECORDINGS, recordings_ride
from tests.workers.test_handlers import Pushed


async def raced(server: PostgresServer) -> tuple[str, str, list[dict[str, Any]]]:
    """A database with a challenge that is closed, its id, and its log in pages as HTTP gives them."""
    dsn = await server.fresh()
    async with open_database(dsn, size=5) as database:
        world = Challenged(database)
        people = [await world.account(name) for name in ("Ada", "Bob", "Cleo")]
        view = await world.challenge(people[0], teams=("Red", "Blue"))
        for number, caller in enumerate(people):
            await world.join(view, caller, team=("Red", "Blue")[number % 2])
        for caller in (people[2], people[0]):
            await world.works_out(caller, 700)
        await world.close(view)
        pages: list[dict[str, Any]] = []
        for after in (0, 4):
            links = await world.challenges.log(people[0], view.id, after, 4)
            entries = [{"seq": link.seq, "body": link.body.decode(), "hash": link.hash.hex()} for link in links]
            pages.append({"entries": entries, "next_after": None})
    return dsn, str(view.id), pages


@pytest.fixture(scope="module")
def race(postgres: PostgresServer) -> tuple[str, str, list[dict[str, Any]]]:
    """The challenge that these tests look at."""
    return asyncio.run(raced(postgres))


@pytest.fixture
def challenge_id(race: tuple[str, str, object], monkeypatch: pytest.MonkeyPatch) -> str:
    """Its id, with the settings that lead to it."""
    monkeypatch.setenv("DATABASE_URL", race[0])
    return race[1]


def changed(dsn: str, statement: str) -> None:
    """Somebody changes the database by hand."""

    async def act() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(act())


def test_the_table_is_derived_and_equal(challenge_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["challenge", "derive", challenge_id]) == 0
    shown = capsys.readouterr().out
    assert "7 entries, closed, head " in shown
    assert "1. Red: " in shown
    assert "Equal: the table that is kept is what the log comes to." in shown
    assert main(["challenge", "derive", challenge_id, "--json", "--top", "1"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert [(each["rank"], each["line"]["n"]) for each in outcome["table"]] == [(1, 3)]
    assert (outcome["members"], outcome["final"], outcome["differences"]) == (3, True, [])


@needs_recordings
def test_what_real_recordings_have_ridden_is_derived_and_equal(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def ridden() -> tuple[str, str, list[tuple[int, int]]]:
        dsn = await postgres.fresh()
        async with open_database(dsn, size=5) as database:
            world = Challenged(database)
            view = await recordings_ride(world)
            return dsn, str(view.id), [(n, value) for n, value, _ in (await world.stored(view.id)).lines]

    dsn, challenge, kept = asyncio.run(ridden())
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.delenv("PACELINE_RECORDINGS", raising=False)  # of the tests, and no option of the program
    assert main(["challenge", "derive", challenge, "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert [(each["line"]["n"], each["line"]["value"]) for each in outcome["table"]] == kept
    assert (outcome["members"], outcome["final"], outcome["differences"]) == (len(RECORDINGS), True, [])


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE challenge_members SET value = value + 1 WHERE n = 1", "member 1: "),
        (
            "UPDATE challenges SET rules = jsonb_set(rules, '{ties}', '\"shared\"')",
            "the rules that are kept are others",
        ),
        ("UPDATE challenge_teams SET value = value + 1", "the sums of the teams that are kept"),
        ("UPDATE challenges SET finished_at = NULL", "only one of log and challenge is closed"),
        ("DELETE FROM challenge_log WHERE seq = 7", "the log ends with entry 6"),
        (
            "UPDATE challenge_log SET body = replace(convert_from(body, 'UTF8'), ':1', ':2')::bytea WHERE seq = 5",
            "entry 5",
        ),
        ("DELETE FROM challenge_log WHERE seq = 3", "entry 4: entry 3 should come here"),
    ],
)
def test_whatever_is_changed_in_the_database_is_found(
    statement: str,
    found: str,
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dsn, challenge_id, _ = asyncio.run(raced(postgres))
    monkeypatch.setenv("DATABASE_URL", dsn)
    changed(dsn, statement)
    assert main(["challenge", "derive", challenge_id]) == 1
    said = capsys.readouterr()
    assert found in said.out + said.err


def test_a_table_with_a_rejected_score_is_derived_before_and_after_it_was_overturned(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def begun() -> tuple[str, str]:
        dsn = await postgres.fresh()
        async with open_database(dsn, size=5) as database:
            world = Judged(database, Pushed())
            mia, ada, bob = [await world.account(name) for name in ("Mia", "Ada", "Bob")]
            view = await world.challenge(mia)
            await world.join(view, ada, bob)
            await world.rides(ada, outing(1))
            await world.rides(bob, cheats(2)["flat"])
            await world.handled()
        monkeypatch.setenv("DATABASE_URL", dsn)
        return dsn, str(view.id)

    async def overturned(dsn: str) -> None:
        async with open_database(dsn, size=5) as database:
            world = Judged(database, Pushed())
            async with world.transactions() as stores:
                row = await stores.tx.fetchrow("SELECT id, account_id FROM workouts WHERE verdict = 'rejected'")
                maker = await stores.tx.fetchval("SELECT owner_id FROM challenges")
            bob, mia = (
                Caller(AccountId(who), LoginId(who), "", frozenset({"member"}), 2**53)
                for who in (row["account_id"], maker)
            )
            await world.verdicts.appeal(bob, WorkoutId(row["id"]), "It was a test on an ergometer.")
            await world.verdicts.rule(mia, WorkoutId(row["id"]), "overturn", "I was there.")
            await world.handled()

    dsn, challenge_id = asyncio.run(begun())
    values = []
    for _ in range(2):
        assert main(["challenge", "derive", challenge_id, "--json"]) == 0
        outcome = json.loads(capsys.readouterr().out)
        assert outcome["differences"] == []
        values.append({each["line"]["n"]: each["line"]["value"] for each in outcome["table"]})
        if len(values) == 1:
            asyncio.run(overturned(dsn))
    assert (values[0][1], values[0][2]) == (values[1][1], 0)
    assert values[1][2] > 0


def test_the_entries_alone_come_to_the_head(
    race: tuple[str, str, list[dict[str, Any]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = [json.dumps(page) for page in race[2]]
    file = tmp_path / "log.json"
    head = race[2][-1]["entries"][-1]["hash"]
    for between in ("", "\n"):
        file.write_text(between.join(pages))
        assert main(["challenge", "check", str(file), "--head", str(head)]) == 0
        assert "Equal: the entries come to this head." in capsys.readouterr().out
    file.write_text(json.dumps(race[2][0], indent=2))
    assert main(["challenge", "check", str(file)]) == 0
    assert "still open" in capsys.readouterr().out
    assert main(["challenge", "check", str(file), "--head", str(head)]) == 1
    assert "not to" in capsys.readouterr().out
    file.write_text(pages[0].replace("Vienna", "Madrid").replace("UTC", "GMT"))
    assert main(["challenge", "check", str(file)]) == 1
    assert "The log is broken at entry 2" in capsys.readouterr().err


def test_what_is_no_challenge_no_file_and_no_database_is_told_apart(
    challenge_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["challenge", "derive", challenge_id[:-1] + ("0" if challenge_id[-1] != "0" else "1")]) == 2
    assert "there is no challenge" in capsys.readouterr().err
    with pytest.raises(SystemExit) as refused:
        main(["challenge", "derive", "seven"])
    assert refused.value.code == 2
    assert main(["challenge", "check", str(tmp_path / "none.json")]) == 2
    (tmp_path / "odd.json").write_text('{"entries": [')
    assert main(["challenge", "check", str(tmp_path / "odd.json")]) == 2
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nothing")
    assert main(["challenge", "derive", challenge_id]) == 3
