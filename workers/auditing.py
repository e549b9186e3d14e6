"""What is done for the audit in the background: entries get their places, and the chain is signed.

The linker asks every half second, without being woken: a notification at the commit would have transactions that tell entries wait
for each other (see wakeups.py), and half a second is soon enough for something that is read by people.

A checkpoint goes to the log of the program and to a file, apart from the database: what proves something against whoever changes
the database must not lie in it alone. It is about rows that are committed, so it is true whatever becomes of the transaction that
keeps it.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import structlog

from persistence.audit import BATCH
from persistence.stores import Stores
from services.audit.checkpoint import as_line, key_name
from services.audit.verifying import Verifying
from services.kernel.clock import Clock
from services.kernel.problems import Unavailable
from services.schedule.jobs import Tick

LINK_EVERY_S: Final = 0.5

log = structlog.get_logger(__name__)


class AuditLinker:
    """Gives entries their places until cancelled; outlasts every fault of the database."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[Stores]], clock: Clock, *, batch: int = BATCH
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._batch: Final = batch

    async def run(self) -> None:
        """Link what comes. Stopped in the middle of a batch, that batch is linked by the next one."""
        while True:
            try:
                full = await self.link() == self._batch
            except Unavailable as problem:
                full = False
                log.warning("audit.not_linked", problem=problem.message)
            except Exception:
                full = False
                log.exception("audit.not_linked", again_in_s=LINK_EVERY_S)
            if not full:
                await self._clock.sleep(LINK_EVERY_S)

    async def link(self) -> int:
        """Link one batch; how many entries that were."""
        async with self._transactions() as stores:
            return await stores.audit.link(self._batch)


class AuditJobs:
    """The job that signs the chain, in a transaction of the schedule."""

    def __init__(self, verifying: Verifying, file: Path) -> None:
        self._verifying: Final = verifying
        self._file: Final = file

    async def checkpoint(self, stores: Stores, tick: Tick) -> int:
        """Sign what the chain is now, once, unless it is as it was."""
        checkpoint = None if tick.did else await self._verifying.checkpoint_in(stores)
        if checkpoint is None:
            return 0
        line = as_line(checkpoint)
        log.info("audit.checkpoint", position=checkpoint.position, key=key_name(checkpoint.public), line=line)
        try:
            await asyncio.to_thread(append, self._file, line)
        except OSError as problem:
            log.error("audit.checkpoint_not_written", file=str(self._file), problem=str(problem))  # noqa: TRY400
        return 1


def append(file: Path, line: str) -> None:
    """Put a line at the end of a file, whole and on the disk. Only this user can read a file that is made. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, f"{line}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)
