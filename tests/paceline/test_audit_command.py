"""`paceline audit`, on a real database: what it prints, what it finds, and how it ends."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from paceline.__main__ import main
from paceline.embedded.cluster import SUPERUSER
from persistence.database import open_database
from persistence.stores import Transactions
from services.accounts.account import Account
from services.accounts.keyring import load_key, make_key
from services.accounts.keys import Keys
from services.audit.entry import Entry, operator
from services.kernel.clock import SystemClock
from services.kernel.ids import AccountId, Uuid7Ids
from tests.support.postgres import PostgresServer
from tests.support.world import SEALING_KEYS, SEALS

CLOCK = SystemClock()
IDS = Uuid7Ids(CLOCK)
ANA = AccountId(IDS.next())
TOKEN_KEY = make_key().decode()

Said = pytest.CaptureFixture[str]


async def fill(dsn: str) -> None:
    """Five entries about Ana, linked, and one that waits. A node has begun on it."""
    async with open_database(dsn, size=2) as database:
        transactions = Transactions(database, CLOCK, IDS)
        await Keys(transactions, SEALS, load_key(TOKEN_KEY), CLOCK, token_ms=1_000).begin()
        async with transactions() as stores:
            await stores.accounts.add(Account(ANA, "ana@example.org", "Ana", frozenset({"member"}), 0), "hash")
            for number in range(1, 6):
                entry = Entry(operator("203.0.113.9"), "role.granted", ANA, reason=str(number), data={"role": "coach"})
                await stores.audit.add(entry)
        async with transactions() as stores:
            assert await stores.audit.link() == 5
        async with transactions() as stores:
            await stores.audit.add(Entry(operator(None), "job.run"))


@pytest.fixture
def dsn(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    dsn = asyncio.run(postgres.fresh())
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("PACELINE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PACELINE_TOKEN_KEY", TOKEN_KEY)
    monkeypatch.setenv("PACELINE_SEALING_KEYS", SEALING_KEYS)
    asyncio.run(fill(dsn))
    return dsn


def evil(dsn: str, statement: str) -> None:
    """A superuser, who takes the trigger away first."""

    async def do() -> None:
        connection = await asyncpg.connect(dsn, user=SUPERUSER)
        await connection.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_only_grows")
        await connection.execute(statement)
        await connection.close()

    asyncio.run(do())


def test_entries_are_listed_the_newest_first_and_by_who_they_are_about(dsn: str, capsys: Said) -> None:
    assert main(["audit", "list", "--limit", "3"]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert "waits job.run by operator" in first
    assert "#5 role.granted by operator to ana@example.org" in second
    assert second.endswith("from 203.0.113.0/24 because: 5")
    assert "#4" in third
    assert main(["audit", "list", "--account", "ana@example.org", "--since", "1h", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["position"] for line in lines] == [5, 4, 3, 2, 1]
    assert {line["account"] for line in lines} == {str(ANA)}
    assert main(["audit", "list", "--act", "role.granted", "--before", "3", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["audit", "list", "--account", "nobody@example.org"]) == 2
    assert "no account" in capsys.readouterr().err


def test_what_nobody_touched_is_whole(dsn: str, capsys: Said) -> None:
    assert main(["audit", "verify"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("whole: 5 rows, 0 checkpoints hold")
    assert "1 entries wait" in said


def test_a_row_that_was_altered_is_named(dsn: str, capsys: Said) -> None:
    """Reliability, 3.3: `audit verify`."""
    evil(dsn, "UPDATE audit_log SET reason = 'something else' WHERE position = 3")
    assert main(["audit", "verify"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("altered at 3: entry ")
    assert last.startswith("NOT WHOLE: 1 breaches in 5 rows")


def test_a_tail_that_was_taken_off_is_found_by_the_file_of_checkpoints(dsn: str, capsys: Said, tmp_path: Path) -> None:
    assert main(["audit", "checkpoint"]) == 0
    line = capsys.readouterr().out
    assert main(["audit", "checkpoint"]) == 0
    assert capsys.readouterr().out == line, "nothing has come since"
    elsewhere = tmp_path / "elsewhere.jsonl"
    elsewhere.write_text(line)
    evil(dsn, "ALTER TABLE audit_checkpoints DISABLE TRIGGER ALL; DELETE FROM audit_checkpoints")
    evil(dsn, "DELETE FROM audit_log WHERE position > 3")
    assert main(["audit", "verify"]) == 0, "without the file nobody could know"
    capsys.readouterr()
    assert main(["audit", "verify", "--checkpoints", str(elsewhere)]) == 1
    assert capsys.readouterr().out.startswith("truncated at 5: ")


def test_a_checkpoint_of_another_installation_proves_nothing_unless_it_is_trusted(
    dsn: str, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["audit", "checkpoint"]) == 0
    line = capsys.readouterr().out
    key = json.loads(line)["public"]
    monkeypatch.setenv("PACELINE_TOKEN_KEY", make_key().decode())
    assert main(["audit", "verify"]) == 1
    said = capsys.readouterr().out
    assert said.startswith("checkpoint at 5: ")
    assert key in said
    assert main(["audit", "verify", "--trust", key]) == 0
    assert "1 checkpoint holds" in capsys.readouterr().out
    assert main(["audit", "verify", "--trust", "abc"]) == 2


def test_nothing_is_signed_by_a_key_that_is_not_that_of_the_nodes(
    dsn: str, capsys: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACELINE_TOKEN_KEY", make_key().decode())
    assert main(["audit", "checkpoint"]) == 2
    assert "the nodes begin with another key" in capsys.readouterr().err
    monkeypatch.delenv("PACELINE_TOKEN_KEY")
    for what in ("checkpoint", "verify"):
        assert main(["audit", what]) == 2
        assert "PACELINE_TOKEN_KEY is not set" in capsys.readouterr().err
    assert main(["audit", "list"]) == 0, "nothing is signed in it"
    assert list(tmp_path.iterdir()) == [], "no key is made"
    monkeypatch.setenv("PACELINE_TOKEN_KEY", TOKEN_KEY)
    capsys.readouterr()
    assert main(["audit", "verify"]) == 0
    assert "0 checkpoints hold" in capsys.readouterr().out


def test_a_file_that_has_no_checkpoints_in_it_is_refused(dsn: str, capsys: Said, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{}\n")
    assert main(["audit", "verify", "--checkpoints", str(broken)]) == 2
    assert "line 1" in capsys.readouterr().err


def test_a_database_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("PACELINE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PACELINE_SEALING_KEYS", SEALING_KEYS)
    assert main(["audit", "verify"]) == 3
