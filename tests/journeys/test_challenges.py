"""Challenges and classes on offer as people see them, in Chromium: two nodes on one database and one Redis, and challenges full of
people. The assertions live in js/challenges.mjs and js/units/."""

import os
import time
from pathlib import Path

from persistence.database import open_database
from services.accounts.tokens import make_key
from tests.journeys.node import run_node
from tests.journeys.test_inbox import two_nodes
from tests.support.challenged import Challenged
from tests.support.system_parts import require

CROWDS = (5, 50, 500)


async def test_the_words_of_the_pages() -> None:
    require("node")
    said, code = await run_node("--test", "units/challenges.test.mjs", "units/ghost.test.mjs")
    assert code == 0, said


async def test_challenges_and_bookings_on_two_nodes_and_in_a_browser(fresh_dsn: str, tmp_path: Path) -> None:
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    codes = await crowded(fresh_dsn)
    async with two_nodes(fresh_dsn, PACELINE_TOKEN_KEY=make_key().decode()) as (one, two):
        said, code = await run_node(
            "challenges.mjs",
            BASE_URL=one.base_url,
            OTHER_URL=two.base_url,
            CROWDS=" ".join(codes),
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
        assert code == 0, said


async def crowded(dsn: str) -> list[str]:
    """Challenges that are full of people with names and scores: how many, and the code, of each."""
    codes = []
    async with open_database(dsn, size=2) as database:
        world = Challenged(database)
        await world.clock.advance(time.time() - world.clock.wall_ms() / 1_000)
        maker = await world.account("Mara")
        for size in CROWDS:
            view = await world.challenge(maker, teams=("Hills", "Flats") if size == 50 else ())
            async with world.transactions() as stores:
                await stores.tx.execute(
                    """
                    WITH people AS (
                        INSERT INTO accounts (id, email, name, password_hash, roles, created_at)
                        SELECT gen_random_uuid(), lower($1) || '-' || i || '@example.org', 'Person ' || i, 'hash', '{member}', now()
                        FROM generate_series(1, $2::integer) AS i
                        RETURNING id
                    ),
                    numbered AS (SELECT id, row_number() OVER () AS i FROM people)
                    INSERT INTO challenge_members (challenge_id, n, account_id, zone, team, joined_at, value, tie, seq)
                    SELECT $3, i, id, 'UTC', $4::integer + (i % 2), now(), 60000 * i, i, 1 FROM numbered
                    """,
                    view.code,
                    size,
                    view.id,
                    0 if view.teams else None,
                )
                for team in range(len(view.teams)):
                    together = sum(60_000 * i for i in range(1, size + 1) if i % 2 == team)
                    await stores.challenges.team_moved(view.id, team, together)
                await stores.tx.execute("UPDATE challenges SET numbers = $2, members = $2 WHERE id = $1", view.id, size)
            codes.append(f"{size}:{view.code}")
    return codes
