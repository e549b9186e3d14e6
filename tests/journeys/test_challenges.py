"""Challenges and classes on offer as people see them, in Chromium: two nodes on one database and one Redis, and challenges full of
people. The assertions live in js/challenges.mjs and js/units/."""

import os
import time
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp

from persistence.database import open_database
from services.kernel.caller import Caller
from services.kernel.ids import AccountId, LoginId
from tests.journeys.node import run_node
from tests.journeys.test_inbox import PASSWORD, two_nodes
from tests.support.challenged import Challenged
from tests.support.server import Server, shared_keys
from tests.support.system_parts import require

CROWDS = (5, 50, 500)


async def test_the_words_of_the_pages() -> None:
    require("node")
    units = ("challenges", "heats", "ghost", "lobby")
    said, code = await run_node("--test", *(f"units/{name}.test.mjs" for name in units))
    assert code == 0, said


async def test_challenges_and_bookings_on_two_nodes_and_in_a_browser(fresh_dsn: str, tmp_path: Path) -> None:
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    async with (
        open_database(fresh_dsn, size=2) as database,
        two_nodes(fresh_dsn, **shared_keys()) as (one, two),
    ):
        world = Challenged(database)
        await world.clock.advance(time.time() - world.clock.wall_ms() / 1_000)
        codes, over = await crowded(world), await raced(world, one)
        said, code = await run_node(
            "challenges.mjs",
            BASE_URL=one.base_url,
            OTHER_URL=two.base_url,
            CROWDS=" ".join(codes),
            OVER=over,
            PASSWORD=PASSWORD,
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
        assert code == 0, said


async def raced(world: Challenged, server: Server) -> str:
    """A challenge that is over: its id, and the mail address of somebody who has won it."""
    email = "win@example.org"
    async with aiohttp.ClientSession(server.base_url) as http:
        body = {"email": email, "password": PASSWORD, "name": "Win", "role": "member"}
        async with http.post("/v1/accounts", json=body) as made:
            account_id = AccountId(UUID((await made.json())["account"]["id"]))
    first = Caller(account_id, LoginId(uuid4()), "Win", frozenset({"member"}), 2**53)
    people = [first, *[await world.account(name) for name in ("Two", "Three", "Four")]]
    view = await world.challenge(first, title="October")
    await world.join(view, *people)
    for seconds, caller in zip((1_500, 1_200, 900, 600), people, strict=True):
        await world.works_out(caller, seconds)
    await world.close(view)
    return f"{view.id}:{email}"


async def crowded(world: Challenged) -> list[str]:
    """Challenges that are full of people with names and scores: how many, and the code, of each."""
    codes = []
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
