"""Checking the audit, from the first entry to the last, and signing what it is now.

What is checked is only added to meanwhile, so each page is a transaction of its own and nobody waits. Checkpoints are read first:
all of them are about rows that were there before, so each has to be met on the way.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from typing import Final

import msgspec

from services.audit.chain import BEGINNING, Finding, Verifier
from services.audit.checkpoint import BadCheckpoint, Checkpoint, check, made
from services.audit.ports import ChainStores, ChainTransactions
from services.kernel.clock import Clock

PAGE: Final = 1_000
"""Links read at once: half a megabyte."""


class Progress(msgspec.Struct, frozen=True):
    """How far a check has come, `of` how many rows, and what it found since the last one."""

    position: int
    of: int
    found: tuple[Finding, ...] = ()


class Verified(msgspec.Struct, frozen=True):
    """The end of a check: the last row, how many `breaches` there were, how many `checkpoints` held it, and how many entries
    wait for their place."""

    position: int
    head: bytes
    breaches: int
    checkpoints: int
    waiting: int


class Verifying:
    """The use cases. `public` is the key of this installation; `sign` signs with it."""

    def __init__(
        self, transactions: ChainTransactions, clock: Clock, public: bytes, sign: Callable[[bytes], bytes]
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self.public: Final = public
        self._sign: Final = sign

    async def checkpoint(self) -> Checkpoint | None:
        """Sign what the chain is now, and keep it; None when it is as the last checkpoint had it. Raises Unavailable."""
        async with self._transactions() as stores:
            return await self.checkpoint_in(stores)

    async def checkpoint_in(self, stores: ChainStores) -> Checkpoint | None:
        """The same in a transaction of somebody else."""
        position, head = await stores.audit.head()
        last = await stores.audit.last_checkpoint()
        if position == 0 or (last is not None and (last.position, last.public) == (position, self.public)):
            return None
        checkpoint = made(position, head, self._clock.wall_ms(), self.public, self._sign)
        await stores.audit.keep(checkpoint)
        return checkpoint

    async def verify(
        self, outside: Iterable[Checkpoint] = (), trusted: Collection[bytes] = ()
    ) -> AsyncIterator[Progress | Verified]:
        """Check all of the chain, against the checkpoints in the database and those kept `outside` of it, signed by this
        installation or a `trusted` key. Raises Unavailable."""
        async with self._transactions() as stores:
            kept = await stores.audit.checkpoints()
            of, _ = await stores.audit.head()
        good, bad = self._checked((*kept, *outside), {self.public, *trusted})
        verifier = Verifier(good)
        breaches = len(bad)
        yield Progress(0, of, tuple(bad))
        while True:
            async with self._transactions() as stores:
                links = await stores.audit.links(verifier.position, PAGE)
            found = [finding for link in links for finding in verifier.step(link)]
            if not links:
                found = verifier.end()
            breaches += len(found)
            yield Progress(verifier.position, max(of, verifier.position), tuple(found))
            if not links:
                break
        async with self._transactions() as stores:
            waiting = await stores.audit.waiting()
        yield Verified(verifier.position, verifier.head, breaches, len(good), waiting)

    async def verify_tail(self, rows: int) -> tuple[int, Sequence[Finding]]:
        """Check the last `rows` rows, as far back as they reach: the first position that was checked, and what was found."""
        async with self._transactions() as stores:
            position, _ = await stores.audit.head()
            first = max(position - rows, 0)
            before = await stores.audit.links(first - 1, 1) if first else []
            kept = await stores.audit.checkpoints(first)
            links = await stores.audit.links(first, rows)
        good, bad = self._checked(kept, {self.public})
        verifier = Verifier(good, after=first, previous=before[0].hash if before else BEGINNING)
        found = [finding for link in links for finding in verifier.step(link)]
        return first + 1, [*bad, *found, *verifier.end()]

    def _checked(
        self, checkpoints: Iterable[Checkpoint], trusted: Collection[bytes]
    ) -> tuple[list[Checkpoint], list[Finding]]:
        good: dict[bytes, Checkpoint] = {}
        bad = []
        for checkpoint in checkpoints:
            try:
                check(checkpoint, trusted)
                good[checkpoint.signature] = checkpoint
            except BadCheckpoint as problem:
                text = f"the checkpoint of {checkpoint.when} proves nothing: {problem}"
                bad.append(Finding("checkpoint", checkpoint.position, text))
        return list(good.values()), bad
