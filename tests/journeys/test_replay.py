"""A class that plays again, in Chromium, beside the boards that stood on everybody's screen when it was ridden; and its pure half
in Node. The assertions live in js/replay.mjs and js/units/."""

import json
import os
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from persistence.database import open_database
from realtime.wire import Row
from services.classes.team import TeamRow
from services.kernel.caller import Caller
from services.kernel.ids import AccountId, LoginId
from tests.journeys.node import run_node
from tests.support.recorded import Recorded, recorded_class
from tests.support.server import open_server
from tests.support.system_parts import require
from tests.support.world import World

PASSWORD = "seven brown foxes rowing"
LOOKED_AT_S = (12, 73, 140)
"""Where the browser goes, seconds from the beginning."""


async def test_the_times_of_a_class_that_plays_again() -> None:
    require("node")
    said, code = await run_node("--test", "units/replay-times.test.mjs")
    assert code == 0, said


async def test_a_class_plays_again_in_a_browser(fresh_dsn: str, tmp_path: Path) -> None:
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    with open_server(DATABASE_URL=fresh_dsn, PACELINE_DB_POOL="6") as server:
        async with open_database(fresh_dsn, size=2) as database, aiohttp.ClientSession(server.base_url) as http:
            world = World(database)
            await world.clock.advance(time.time() - world.clock.wall_ms() / 1_000)
            coach = await registered(http, "Mira", "coach")
            ada = await registered(http, "Ada", "member")
            await registered(http, "Eve", "member")
            classes = [
                await recorded_class(
                    world, coach, (ada,), athletes=size, title=f"Hills {size}", teams=("Red", "Blue", "Green")
                )
                for size in (5, 50)
            ]
            classes.append(await recorded_class(world, coach, (ada,), athletes=500, seconds=60, title="Hills 500"))
        said, code = await run_node(
            "replay.mjs",
            BASE_URL=server.base_url,
            CLASSES=json.dumps([told(each) for each in classes]),
            PASSWORD=PASSWORD,
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
        assert code == 0, said


async def registered(http: aiohttp.ClientSession, name: str, role: str) -> Caller:
    """Somebody who can log in as `<name>@example.org`."""
    body = {"email": f"{name.lower()}@example.org", "password": PASSWORD, "name": name, "role": role}
    async with http.post("/v1/accounts", json=body) as made:
        account_id = AccountId(UUID((await made.json())["account"]["id"]))
    return Caller(account_id, LoginId(uuid4()), name, frozenset({"member"}), 2**53)


def told(recorded: Recorded) -> dict[str, Any]:
    """What the browser is to find."""
    boards = {second: recorded.board_at(recorded.begins_ms + second * 1_000) for second in LOOKED_AT_S}
    return {
        "id": str(recorded.live.id),
        "title": recorded.live.title,
        "boards": {str(second): [line(recorded, row) for row in rows] for second, rows in boards.items()},
        "teams": {
            str(second): [team(recorded, row) for row in recorded.teams_at(recorded.begins_ms + second * 1_000)]
            for second in LOOKED_AT_S
        },
    }


def team(recorded: Recorded, row: TeamRow) -> list[str]:
    """Rank, name and figure as the list of teams says them."""
    figure = "–" if row.figure is None else f"{row.figure:.1f} points"
    return ["–" if row.rank is None else str(row.rank), recorded.live.teams[row.team], figure]


def line(recorded: Recorded, row: Row) -> list[str]:
    """Name, heart rate and rank as a tile says them."""
    return [recorded.names[row.n], str(row.bpm), str(row.rank)]
