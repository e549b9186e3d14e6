"""The scenario of many people told at once: one announcement, one worker process, ten thousand inboxes and as many mails.

The worker has every role but that of a gateway and mails into a folder, which answers at once: what is measured is the program and
PostgreSQL, not a mail server. The clock runs from the commit of the announcement.
"""

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from persistence.database import Database, open_database
from persistence.stores import Transactions
from services.kernel.clock import SystemClock
from services.kernel.ids import Uuid7Ids
from services.notifications.announcement import announce
from services.notifications.content import AnnouncementContent
from tests.benchmarks.installation import open_installation
from tests.benchmarks.proc import cores, read_parts, rss_mib, used_parts
from tests.benchmarks.results import AnnounceRun

LOOK_S: Final = 0.05
PATIENCE_S: Final = 600.0
WARM: Final = 20
"""People of an announcement that nobody measures: the first one loads templates and plans statements."""
CONTENT: Final = AnnouncementContent(
    title="New classes from Monday", body="Hills at seven, intervals at eight.\n\nSee you there.", sender="Paceline"
)


@dataclass(frozen=True)
class Reached:
    """When everybody was told and when the last mail had left, seconds since the commit, and the most memory meanwhile, MiB."""

    told_s: float
    sent_s: float
    peak_mib: float


def announce_run(people: int) -> AnnounceRun:
    """Tell so many people one thing."""
    with (
        tempfile.TemporaryDirectory(prefix="paceline-mails-") as folder,
        open_installation(0, PACELINE_MAIL_URL=f"file://{folder}") as there,
    ):
        parts = {"worker": there.worker.pid, "postgres": there.postgres, "redis": there.redis}
        asyncio.run(_tell(there.database_url, there.worker.pid, WARM, WARM))
        rss_before = rss_mib(there.worker.pid)
        before = read_parts(parts)
        reached = asyncio.run(_tell(there.database_url, there.worker.pid, people - WARM, people))
        spent = used_parts(before, read_parts(parts), len(cores()))
        mails = len(list(Path(folder).iterdir())) - WARM
    return AnnounceRun(
        people=people,
        told_s=round(reached.told_s, 2),
        sent_s=round(reached.sent_s, 2),
        wrong=abs(people - mails),
        worker_s=round(spent.parts["worker"], 2),
        postgres_s=round(spent.parts["postgres"], 2),
        rss_before_mib=round(rss_before, 1),
        rss_peak_mib=round(reached.peak_mib, 1),
        others=round(spent.others, 3),
    )


async def _tell(url: str, worker: int, newcomers: int, people: int) -> Reached:
    """Make some more people, tell all of them something, and wait until it has reached everybody."""
    clock = SystemClock()
    ids = Uuid7Ids(clock)
    async with open_database(url, size=1) as database:
        await _people(database, newcomers)
        async with Transactions(database, clock, ids)() as stores:
            announcement = await announce(stores, clock, ids, CONTENT)
        began, told_s, peak_mib = time.monotonic(), 0.0, 0.0
        while (passed := time.monotonic() - began) < PATIENCE_S:
            peak_mib = max(peak_mib, rss_mib(worker))
            told, left = await _reached(database, announcement.id)
            told_s = told_s or (passed if told == people else 0.0)
            if told_s and not left:
                return Reached(told_s, passed, peak_mib)
            await asyncio.sleep(LOOK_S)
    raise TimeoutError(f"after {PATIENCE_S:g} s not everybody had been reached")


async def _people(database: Database, count: int) -> None:
    """So many more accounts, straight into the database."""
    async with database.tx() as tx:
        await tx.execute(
            """
            INSERT INTO accounts (id, email, name, password_hash, roles, created_at)
            SELECT id, id || '@example.org', 'Athlete', 'no password opens this account', '{member}', now()
            FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, $1)) AS new
            """,
            count,
        )


async def _reached(database: Database, announcement_id: object) -> tuple[int, bool]:
    """How many people have been told, and whether any delivery has still to leave."""
    async with database.connection() as connection:
        told: int = await connection.fetchval("SELECT told FROM announcements WHERE id = $1", announcement_id)
        left: bool = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM deliveries WHERE state IN ('waiting', 'sending'))"
        )
    return told, left
