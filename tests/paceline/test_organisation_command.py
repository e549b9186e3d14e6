"""`paceline organisation`, on a real database."""

import asyncio
import uuid
from pathlib import Path

import pytest

from paceline.__main__ import main
from persistence.database import open_database
from services.kernel.ids import OrganisationId
from services.organisations.organisations import Organisations
from tests.support.postgres import PostgresServer
from tests.support.world import SEALING_KEYS, World


@pytest.fixture
def organisation(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OrganisationId:
    """The id of one in which its owner sits alone."""
    dsn = asyncio.run(postgres.fresh())
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("PACELINE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PACELINE_SEALING_KEYS", SEALING_KEYS)

    async def make() -> OrganisationId:
        async with open_database(dsn, size=1) as database:
            world = World(database)
            organisations = Organisations(world.transactions, world.clock, world.ids)
            return (await organisations.make(await world.account("Mira"), "Harbour Gym")).organisation.id

    return asyncio.run(make())


def test_an_operator_sees_and_sets_the_seats(organisation: OrganisationId, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["organisation", "show", str(organisation)]) == 0
    assert capsys.readouterr().out == "Harbour Gym: 1 of 10 seats taken, with an owner among them\n"
    assert main(["organisation", "seats", str(organisation), "25"]) == 0
    assert "of 25 seats" in capsys.readouterr().out


def test_what_is_not_there_is_said(organisation: OrganisationId, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["organisation", "show", str(uuid.uuid4())]) == 1
    assert "not_found" in capsys.readouterr().err
    assert main(["organisation", "owner", str(organisation), "nobody@example.org"]) == 1
    assert "nobody with the address" in capsys.readouterr().err


def test_an_organisation_has_at_least_one_seat(organisation: OrganisationId) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["organisation", "seats", str(organisation), "0"])
    assert refused.value.code == 2
