"""`paceline challenge`, on a real database and on files."""

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from paceline.__main__ import main
from persistence.database import open_database
from tests.support.challenged import Challenged
from tests.support.postgres import PostgresServer


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
