"""`paceline keys`, on a real database that nodes have begun on."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from paceline.__main__ import main
from paceline.keys import KEY_FILE
from persistence.database import open_database
from persistence.stores import Transactions
from services.accounts.keyring import load_key, make_key
from services.accounts.keys import Keys
from services.kernel.clock import SystemClock
from services.kernel.ids import Uuid7Ids
from services.kernel.sealing import Seals
from services.kernel.sealing import make_key as make_sealing_key
from services.privacy.vault import Vault
from tests.support.postgres import PostgresServer

TOKEN_KEY = make_key().decode()
SEALING_KEY = make_sealing_key()


@pytest.fixture
def dsn(postgres: PostgresServer) -> str:
    return asyncio.run(postgres.fresh())


@pytest.fixture(autouse=True)
def installation(dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment of a node, and one that has begun."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("PACELINE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PACELINE_TOKEN_KEY", TOKEN_KEY)
    monkeypatch.setenv("PACELINE_SEALING_KEYS", SEALING_KEY)
    asyncio.run(begin(dsn))


async def begin(dsn: str) -> None:
    """What a node does with its keys when it starts."""
    async with open_transactions(dsn, SEALING_KEY) as transactions:
        async with transactions() as stores:
            await stores.sealing_keys.agree()
        seals = Seals((base64.b64decode(SEALING_KEY),))
        await Keys(transactions, seals, load_key(TOKEN_KEY), SystemClock(), token_ms=1_000).begin()


@asynccontextmanager
async def open_transactions(dsn: str, *keys: str) -> AsyncIterator[Transactions]:
    clock = SystemClock()
    vault = Vault(Seals(tuple(base64.b64decode(key) for key in keys)))
    async with open_database(dsn, size=1) as database:
        yield Transactions(database, clock, Uuid7Ids(clock), vault=vault)


async def ends(dsn: str) -> dict[str, bool]:
    """Which keys there are, and whether an end is set to each."""
    async with open_transactions(dsn, SEALING_KEY) as transactions, transactions() as stores:
        return {key.place.kid: key.place.retires_ms is not None for key in await stores.signing_keys.all()}


def test_the_key_of_the_installation_signs_until_another_takes_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "list"]) == 0
    (_, only) = capsys.readouterr().out.splitlines()
    assert only.startswith("signs ")
    assert only.endswith("no end")
    kid = only.split()[1]
    assert main(["keys", "rotate"]) == 0
    (_, old, new) = capsys.readouterr().out.splitlines()
    assert old.split()[:2] == ["signs", kid]
    assert not old.endswith("no end")
    assert new.endswith("no end")
    assert main(["keys", "rotate"]) == 1
    assert "takes over soon" in capsys.readouterr().err
    assert main(["keys", "rotate", "--stolen"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize("words", [["list"], ["rotate"], ["rotate", "--stolen"]])
def test_without_the_key_of_the_nodes_nothing_is_done_and_none_is_made(
    words: list[str], dsn: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PACELINE_TOKEN_KEY")
    assert main(["keys", *words]) == 1
    assert "PACELINE_TOKEN_KEY is not set" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert asyncio.run(ends(dsn)) == {load_key(TOKEN_KEY).kid: False}


@pytest.mark.parametrize("words", [["list"], ["rotate"], ["rotate", "--stolen"]])
def test_a_key_that_lies_in_the_data_folder_from_something_else_is_not_taken_for_that_of_the_nodes(
    words: list[str], dsn: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PACELINE_TOKEN_KEY")
    (tmp_path / KEY_FILE).write_bytes(make_key())
    assert main(["keys", *words]) == 1
    assert f"the nodes begin with another key ({load_key(TOKEN_KEY).kid})" in capsys.readouterr().err
    assert asyncio.run(ends(dsn)) == {load_key(TOKEN_KEY).kid: False}


@pytest.mark.parametrize("words", [["list"], ["rotate", "--stolen"], ["sealing"]])
def test_without_the_sealing_keys_of_the_nodes_nothing_is_done_and_none_is_made(
    words: list[str], dsn: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PACELINE_SEALING_KEYS")
    assert main(["keys", *words]) == 1
    assert "PACELINE_SEALING_KEYS is not set" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("PACELINE_SEALING_KEYS", make_sealing_key())
    assert main(["keys", *words]) == 1
    assert "this database is sealed with other keys than this process has" in capsys.readouterr().err
    assert asyncio.run(ends(dsn)) == {load_key(TOKEN_KEY).kid: False}


def test_what_still_needs_an_old_sealing_key_is_told(
    dsn: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    new = make_sealing_key()
    assert main(["keys", "rotate"]) == 0
    capsys.readouterr()
    assert main(["keys", "sealing"]) == 0
    assert capsys.readouterr().out == "key 1 of 1: seals 2, the newest\n"
    monkeypatch.setenv("PACELINE_SEALING_KEYS", f"{new},{SEALING_KEY}")
    assert main(["keys", "sealing"]) == 0
    assert capsys.readouterr().out == "key 1 of 2: seals 0, the newest\nkey 2 of 2: seals 2\n"

    async def begun() -> None:
        async with open_transactions(dsn, new, SEALING_KEY) as transactions, transactions() as stores:
            assert await stores.sealing_keys.wrap_anew(1) == 1

    asyncio.run(begun())
    monkeypatch.setenv("PACELINE_SEALING_KEYS", new)
    assert main(["keys", "sealing"]) == 0
    assert "a key that is not among PACELINE_SEALING_KEYS: seals 1; put it back" in capsys.readouterr().out
