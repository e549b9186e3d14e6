"""`paceline activity`, on a real database."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from paceline.__main__ import main
from persistence.activity import Activity
from persistence.database import open_database
from persistence.stores import Transactions
from services.kernel.clock import SystemClock
from services.kernel.ids import Uuid7Ids
from tests.support.postgres import PostgresServer
from tests.support.world import SEALING_KEYS
from workers.activity import NAME

CLOCK = SystemClock()


async def fill(server: PostgresServer) -> str:
    """A database in which two days were counted, by a follower that is far ahead."""
    dsn = await server.fresh()
    today = datetime.now(UTC).date()
    async with open_database(dsn, size=2) as database, Transactions(database, CLOCK, Uuid7Ids(CLOCK))() as stores:
        await stores.activity.add(
            [
                Activity(today - timedelta(days=1), "training", "workout.finished", 1_234),
                Activity(today, "training", "workout.finished", 7),
                Activity(today, "classes", "class.ended", 2),
            ]
        )
        now = datetime.now(UTC)
        run = await stores.followers.claim(NAME, "training", Uuid7Ids(CLOCK).next(), now, now)
        assert run is not None
        await stores.followers.advance(run, "far ahead")
    return dsn


async def where(dsn: str) -> tuple[int, str | None]:
    """Run and position of the follower."""
    async with open_database(dsn, size=2) as database, database.connection() as connection:
        row = await connection.fetchrow("SELECT run, position FROM followers")
    return row["run"], row["position"]


@pytest.fixture
def dsn(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the command looks."""
    dsn = asyncio.run(fill(postgres))
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("PACELINE_SEALING_KEYS", SEALING_KEYS)
    return dsn


def test_each_day_has_a_line_and_each_type_a_column(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["activity"]) == 0
    shown = capsys.readouterr().out
    lines = [line.replace("│", " ").split() for line in shown.splitlines() if "│" in line]
    assert [line[1:] for line in lines] == [["0", "1,234"], ["2", "7"]]
    assert "workout.finished" in shown


def test_asked_to_rebuild_the_follower_begins_anew(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert asyncio.run(where(dsn)) == (1, "far ahead")
    assert main(["activity", "--rebuild"]) == 0
    assert "1 of the families" in capsys.readouterr().out
    assert asyncio.run(where(dsn)) == (2, None)


def test_no_numbers_at_all_are_explained(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", asyncio.run(postgres.fresh()))
    monkeypatch.setenv("PACELINE_SEALING_KEYS", SEALING_KEYS)
    assert main(["activity", "--days", "3"]) == 0
    assert "role worker" in capsys.readouterr().out
    assert main(["activity", "--rebuild"]) == 0
    assert "Nothing was counted yet" in capsys.readouterr().out
