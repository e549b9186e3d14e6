"""`paceline account entitle`, `unentitle` and `entitlements`, on a real database."""

import asyncio
import zipfile
from pathlib import Path

import pytest

from paceline.__main__ import main
from persistence.database import open_database
from persistence.stores import Transactions
from services.accounts.account import Account
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, Uuid7Ids
from tests.support.postgres import PostgresServer
from tests.support.world import SEALING_KEYS

CLOCK = ManualClock()


async def fill(server: PostgresServer) -> str:
    """A database with one account in it."""
    dsn = await server.fresh()
    ids = Uuid7Ids(CLOCK)
    async with open_database(dsn, size=2) as database, Transactions(database, CLOCK, ids)() as stores:
        account = Account(AccountId(ids.next()), "ana@example.org", "Ana", frozenset({"member"}), CLOCK.wall_ms())
        await stores.accounts.add(account, "hash")
    return dsn


@pytest.fixture
def dsn(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its address, also in the environment."""
    dsn = asyncio.run(fill(postgres))
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("PACELINE_SEALING_KEYS", SEALING_KEYS)
    return dsn


def account(*arguments: str) -> int:
    return main(["account", *arguments])


@pytest.mark.usefixtures("dsn")
def test_what_is_granted_is_shown_until_it_is_taken_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert account("entitlements", "ana@example.org") == 0
    assert capsys.readouterr().out == "ana@example.org is entitled to nothing\n"
    assert (
        account("entitle", "Ana@Example.org", "premium", "--from", "2026-01-01", "--until", "2199-01-01T06:00+01:00")
        == 0
    )
    told = capsys.readouterr().out
    assert "holds  premium" in told
    assert "operator" in told
    assert "2026-01-01 00:00 UTC to 2199-01-01 05:00 UTC" in told
    assert account("unentitle", "ana@example.org", "premium") == 0
    told = capsys.readouterr().out
    assert "holds" not in told
    assert "withdrawn" in told


@pytest.mark.usefixtures("dsn")
def test_a_role_is_given_and_taken_and_an_account_suspended_and_let_in_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert account("grant", "Ana@Example.org", "support") == 0
    assert capsys.readouterr().out == "ana@example.org has the roles member, support\n"
    assert account("ungrant", "ana@example.org", "support") == 0
    assert capsys.readouterr().out == "ana@example.org has the roles member\n"
    assert account("suspend", "ana@example.org", "they share their account", "--until", "2199-01-01") == 0
    assert "is suspended until 2199-01-01 00:00 UTC" in capsys.readouterr().out
    assert account("lift", "ana@example.org", "it is settled") == 0
    assert capsys.readouterr().out == "ana@example.org may be used\n"
    assert account("suspend", "eve@example.org", "they are nobody") == 1
    assert "there is no account" in capsys.readouterr().err


@pytest.mark.usefixtures("dsn")
def test_who_is_not_there_and_what_ends_before_it_begins_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert account("entitle", "eve@example.org", "premium") == 1
    assert "register it first" in capsys.readouterr().err
    assert account("entitle", "ana@example.org", "premium", "--until", "2001-01-01") == 1
    assert "it would end before it begins" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("entitle", "ana@example.org", "Premium!"), "'Premium!'"),
        (("entitle", "ana@example.org", "premium", "--until", "soon"), "write 2026-12-01"),
        (("entitle", "ana@example.org", "premium", "--source", "two words"), "'two words'"),
    ],
)
def test_a_word_or_a_time_of_another_shape_is_explained(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        account(*arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.usefixtures("dsn")
def test_a_second_factor_that_is_lost_is_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    assert account("reset-factor", "Ana@Example.org") == 0
    assert capsys.readouterr().out == "Ana@Example.org had no second factor\n"
    assert account("reset-factor", "eve@example.org") == 1
    assert "no account" in capsys.readouterr().err


@pytest.mark.usefixtures("dsn")
def test_everything_about_somebody_is_written_into_a_file_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "ana.zip"
    assert account("export", "ana@example.org", str(file)) == 0
    assert "has everything about ana@example.org" in capsys.readouterr().out
    with zipfile.ZipFile(file) as read:
        assert b"ana@example.org" in read.read("data/accounts.jsonl")
    assert list(tmp_path.iterdir()) == [file]
    assert account("export", "ana@example.org", str(file)) == 1
    assert "is there already" in capsys.readouterr().err


@pytest.mark.usefixtures("dsn")
def test_an_account_is_to_be_erased_and_the_audit_knows(capsys: pytest.CaptureFixture[str], dsn: str) -> None:
    assert account("erase", "ana@example.org", "--days", "0") == 0
    assert "ana@example.org is closed at" in capsys.readouterr().out

    async def noted() -> tuple[int, int]:
        async with open_database(dsn, size=2) as database, database.connection() as connection:
            return (
                await connection.fetchval("SELECT count(*) FROM erasures WHERE due_at = asked_at"),
                await connection.fetchval("SELECT count(*) FROM audit_waiting WHERE act = 'account.erased'"),
            )

    assert asyncio.run(noted()) == (1, 1)
