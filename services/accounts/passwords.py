"""Hashing passwords without stopping the world.

Argon2id is slow and hungry on purpose: one hash took 0.16 s and takes 64 MiB. So it never runs on the event loop, never
more than `workers` at a time, and never with more than `waiting` in the queue: a flood of log-ins is answered with `Busy`
and costs a bounded amount of memory (workers x 64 MiB) and processor.

Somebody who has no account is checked like everybody else, against the hash of a password nobody knows. The answer and
the work are the same, so neither tells whether an address is registered.
"""

import asyncio
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

import argon2
import msgspec

from services.accounts.account import MAX_TYPED_PASSWORD
from services.kernel.problems import Busy, WeakPassword

T = TypeVar("T")

NO_PASSWORD: Final = "!"  # noqa: S105 - there is none
"""In the place of a hash: this account has no password, and none fits."""
RETRY_AFTER_MS: Final = 2_000
"""About the time a full queue of the default size needs to empty on two cores."""


class Cost(msgspec.Struct, frozen=True):
    """What one hash costs: rounds over the memory, KiB of memory, lanes. The default is RFC 9106's second choice."""

    rounds: int = 3
    memory_kib: int = 65_536
    lanes: int = 4


class Checked(msgspec.Struct, frozen=True):
    """`matches`: it is the right password; `outdated`: and its hash was made at another cost, so make it anew."""

    matches: bool
    outdated: bool = False


class PasswordStatistics(msgspec.Struct, frozen=True):
    """Hashes computed, computations refused because the queue was full, and those waiting or running now."""

    hashed: int
    refused: int
    pending: int


class Passwords:
    """Makes and checks hashes in threads of its own. Close it when done."""

    def __init__(self, *, cost: Cost | None = None, workers: int = 2, waiting: int = 24) -> None:
        cost = cost or Cost()
        self._hasher: Final = argon2.PasswordHasher(
            time_cost=cost.rounds, memory_cost=cost.memory_kib, parallelism=cost.lanes, type=argon2.Type.ID
        )
        self._executor: Final = ThreadPoolExecutor(workers, thread_name_prefix="passwords")
        # Full means: refuse. A queue that grew would only answer people who have long gone.
        self._most_pending: Final = workers + waiting
        self._pending = 0
        self._lock: Final = threading.Lock()
        self._hashed = 0
        self._refused = 0
        self._nobody: Final = self._hasher.hash(secrets.token_urlsafe(32))

    async def hash(self, password: str) -> str:
        """The Argon2id hash of `password`, with its salt and cost, as a PHC string. Raises Busy, WeakPassword."""
        _refuse_absurd(password)
        return await self._in_thread(lambda: self._hasher.hash(password))

    async def check(self, password: str, stored: str | None) -> Checked:
        """Whether `password` belongs to the hash `stored`; None stands for nobody and, like NO_PASSWORD, never matches.

        Does the same work in every case. Raises Busy when too many wait, WeakPassword when it is absurdly long.
        """
        _refuse_absurd(password)
        if stored == NO_PASSWORD:
            stored = None
        matches = await self._in_thread(lambda: self._matches(stored or self._nobody, password))
        if stored is None or not matches:
            return Checked(matches=False)
        return Checked(matches=True, outdated=self._hasher.check_needs_rehash(stored))

    def statistics(self) -> PasswordStatistics:
        """Counts since the start."""
        with self._lock:
            return PasswordStatistics(self._hashed, self._refused, self._pending)

    def close(self) -> None:
        """Drop what waits, let what runs finish. May be called again."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except argon2.exceptions.VerifyMismatchError:
            return False

    async def _in_thread(self, work: Callable[[], T]) -> T:
        with self._lock:
            if self._pending >= self._most_pending:
                self._refused += 1
                raise Busy("too many people are logging in right now; try again", retry_after_ms=RETRY_AFTER_MS)
            self._pending += 1
            self._hashed += 1
        try:
            future = self._executor.submit(work)
        except RuntimeError as cause:  # closed: the program is stopping
            self._finished(None)
            raise Busy("this node is stopping; try again", retry_after_ms=RETRY_AFTER_MS) from cause
        # The place in the queue is held by the thread's work, not by the caller: whoever hangs up keeps it occupied
        # until the hash is done, so hanging up is no way around the limit.
        future.add_done_callback(self._finished)
        return await asyncio.wrap_future(future)

    def _finished(self, _: "Future[T] | None") -> None:
        with self._lock:
            self._pending -= 1


def can_fit(stored: str | None) -> bool:
    """Whether any password belongs to this hash."""
    return stored not in {None, "", NO_PASSWORD}


def _refuse_absurd(password: str) -> None:
    if len(password) > MAX_TYPED_PASSWORD:
        raise WeakPassword(f"a password has at most {MAX_TYPED_PASSWORD} characters", path="$.password")
