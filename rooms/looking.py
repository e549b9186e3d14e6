"""Who leads a class and sees the hearts in it: told to the audit, once per login, athlete and class on a node.

A cockpit is told twice a second, so what is looked up for each of them is one set against another. What is new waits here for
the database: frames wait for nobody, so an entry follows the first frame by about a second, and while Postgres is away boards go
on and entries wait. Full (`MAX_WAITING`), what comes is not kept, and that is said aloud as an error with its count; a node that
dies loses the last second, one that stops writes it first. Whoever comes back by another node, or with another login, is told of
again.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from persistence.stores import Transactions
from rooms.room import Room
from rooms.rooms import Rooms
from services.audit.entry import Entry, Thing, actor_of
from services.kernel.caller import Caller
from services.kernel.clock import Clock, pause
from services.kernel.ids import ClassId, LoginId

WRITE_EVERY_S: Final = 1.0
BATCH: Final = 1_000
MAX_WAITING: Final = 100_000
"""Entries that wait for the database: two hundred coaches of five hundred athletes each, 40 MB."""

log = structlog.get_logger(__name__)


class Looking:
    """Sees who looks, and writes it until stopped. `stop` has what is there written, as far as Postgres answers."""

    def __init__(self, rooms: Rooms, transactions: Transactions, clock: Clock) -> None:
        self._rooms: Final = rooms
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._seen: dict[ClassId, dict[LoginId, set[int]]] = {}
        self._waiting: list[Entry] = []
        self._lost = 0
        self._writing: Final = asyncio.Lock()
        self._stopping: Final = asyncio.Event()
        rooms.cockpits.on_look = self._looks

    def stop(self) -> None:
        """Ask `run` to write what waits and return. May be called again."""
        self._stopping.set()

    async def run(self) -> None:
        """Write what waits until stopped; while the database is away it waits."""
        while not self._stopping.is_set():
            await pause(self._clock, WRITE_EVERY_S, self._stopping)
            await self._try_to_write()
        # What was seen while that was under way.
        await self._try_to_write()

    async def _try_to_write(self) -> None:
        try:
            await self.write()
        except Exception as problem:
            log.warning("looking.not_written", waiting=len(self._waiting), problem=repr(problem))

    async def write(self) -> None:
        """Write what waits now, one write after the other. Raises Unavailable; then it still waits."""
        async with self._writing:
            loaded = self._rooms.loaded()
            self._seen = {class_id: seen for class_id, seen in self._seen.items() if class_id in loaded}
            if self._lost:
                log.error(
                    "looking.lost", entries=self._lost, cure="the database was away for too long; see the audit's gap"
                )
                self._lost = 0
            while batch := self._waiting[:BATCH]:
                await self._keep(batch)
                del self._waiting[: len(batch)]

    async def _keep(self, batch: Sequence[Entry]) -> None:
        async with self._transactions() as stores:
            await stores.audit.add(*batch)

    def _looks(self, caller: Caller, room: Room) -> None:
        seen = self._seen.setdefault(room.live.id, {}).setdefault(caller.login_id, set())
        new = room.cockpit.bodies - seen
        if not new:
            return
        actor, thing = actor_of(caller), Thing("class", str(room.live.id))
        seen |= new
        for n in sorted(new):
            account_id = room.account_of(n)
            if account_id is None or account_id == caller.account_id:
                continue
            if len(self._waiting) >= MAX_WAITING:
                self._lost += 1
                continue
            self._waiting.append(Entry(actor, "heart_rate.watched", account_id, thing))
