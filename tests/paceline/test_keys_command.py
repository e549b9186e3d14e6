"""`paceline keys`, on a real database."""

import asyncio
from pathlib import Path

import pytest

from paceline.__main__ import main
from services.kernel.sealing import make_key
from tests.support.postgres import PostgresServer


@pytest.fixture(autouse=True)
def installation(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", asyncio.run(postgres.fresh()))
    monkeypatch.setenv("PACELINE_DATA_DIR", str(tmp_path))


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


def test_what_still_needs_an_old_sealing_key_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_key(), make_key()
    monkeypatch.setenv("PACELINE_SEALING_KEYS", old)
    assert main(["keys", "rotate"]) == 0
    capsys.readouterr()
    assert main(["keys", "sealing"]) == 0
    assert capsys.readouterr().out == "key 1 of 1: seals 1, the newest\n"
    monkeypatch.setenv("PACELINE_SEALING_KEYS", f"{new},{old}")
    assert main(["keys", "sealing"]) == 0
    assert capsys.readouterr().out == "key 1 of 2: seals 0, the newest\nkey 2 of 2: seals 1\n"
    monkeypatch.setenv("PACELINE_SEALING_KEYS", new)
    assert main(["keys", "sealing"]) == 0
    assert "a key that is not among PACELINE_SEALING_KEYS: seals 1; put it back" in capsys.readouterr().out
