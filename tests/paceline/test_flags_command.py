"""`paceline flags`, on a real database."""

import asyncio
from pathlib import Path

import pytest

from paceline.__main__ import main
from services.flags.flag import FLAGS
from tests.support.postgres import PostgresServer
from tests.support.world import SEALING_KEYS


@pytest.fixture(autouse=True)
def installation(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", asyncio.run(postgres.fresh()))
    monkeypatch.setenv("PACELINE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PACELINE_SEALING_KEYS", SEALING_KEYS)


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    lines = capsys.readouterr().out.splitlines()
    return dict(line.split(maxsplit=1) for line in lines if not line.startswith(" "))


def test_flags_are_listed_set_and_unset_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flags", "list"]) == 0
    assert shown(capsys) == dict.fromkeys(FLAGS, "on")
    assert main(["flags", "set", "registering", "off", "somebody registers by the thousand"]) == 0
    said = shown(capsys)
    assert said.pop("registering").startswith("OFF, set")
    assert set(said.values()) == {"on"}
    assert main(["flags", "list"]) == 0
    assert shown(capsys)["registering"].endswith("UTC: somebody registers by the thousand")
    assert main(["flags", "unset", "registering", "it is over"]) == 0
    assert shown(capsys) == dict.fromkeys(FLAGS, "on")


@pytest.mark.parametrize(
    "words",
    [("set", "gravity", "off", "it is heavy"), ("set", "chat", "maybe", "I know not"), ("set", "chat", "off", "x")],
)
def test_what_is_no_flag_no_way_to_stand_or_no_reason_is_refused(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["flags", *words])
    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err
