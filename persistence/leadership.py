"""Being the only one: a lease that runs out, and an epoch that shuts out whoever held it before.

A leader holds a row with a lease, judged by the database's own clock, which all nodes share. One that is killed is replaced when
its lease has run out; one that was frozen for longer finds, when it wakes, that the epoch has moved on. It may not notice for
a while, and it need not: every transaction in which a leader does something begins with `hold`, which fails for an old epoch
and otherwise makes the next leader's `take` wait until that transaction has ended. So nothing that a leader does can be
committed after the next one has begun. A leader frozen in the middle of a transaction holds up its successor until the server
ends that transaction: `hold` has it wait `IDLE_MS` for the next word, and no longer.

A lock that lives as long as its connection would know of a killed leader sooner, and of a frozen one never. It would need a
connection of its own, too, that no pooler in between may share.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from persistence.database import Tx
from services.kernel.clock import to_wall_ms

IDLE_MS: Final = 5_000
"""How long a leader may say nothing in the middle of a transaction: far longer than any work between two statements takes."""


class Deposed(Exception):  # noqa: N818 - it says what the leader is
    """Another one leads; this transaction may do nothing. Forget what was about to be done: the other one does it."""


class Leader(msgspec.Struct, frozen=True):
    """Who leads, or led last: in which `epoch`, since when, and whether the lease still runs. `now_ms` is the database's wall
    clock, ms since 1970."""

    epoch: int
    holder: str
    since: datetime
    leads: bool
    now_ms: int


class Leadership:
    """One leadership, by its name, inside one transaction."""

    def __init__(self, tx: Tx, name: str) -> None:
        self._tx: Final = tx
        self._name: Final = name

    async def leader(self) -> Leader | None:
        """Who leads or led last; None when nobody ever did."""
        row = await self._tx.fetchrow(
            """
            SELECT epoch, holder, since, lease_until > clock_timestamp() AS leads, clock_timestamp() AS now
            FROM leadership
            WHERE name = $1
            """,
            self._name,
        )
        if row is None:
            return None
        return Leader(row["epoch"], row["holder"], row["since"], row["leads"], to_wall_ms(row["now"]))

    async def take(self, holder: str, lease: timedelta) -> int | None:
        """Try to lead for `lease`, under a new epoch, which is returned; None when somebody leads.

        Waits for what the one before has not yet committed.
        """
        epoch: int | None = await self._tx.fetchval(
            """
            INSERT INTO leadership (name, epoch, holder, since, lease_until)
            VALUES ($1, 1, $2, clock_timestamp(), clock_timestamp() + $3)
            ON CONFLICT (name) DO UPDATE
                SET epoch = leadership.epoch + 1, holder = excluded.holder,
                    since = clock_timestamp(), lease_until = clock_timestamp() + $3
                WHERE leadership.lease_until <= clock_timestamp()
            RETURNING epoch
            """,
            self._name,
            holder,
            lease,
        )
        return epoch

    async def renew(self, epoch: int, lease: timedelta) -> int:
        """Go on leading for `lease` from now; the database's wall clock, ms since 1970. Raises `Deposed`.

        A lease that has run out is renewed all the same while nobody else has taken the lead.
        """
        now: datetime | None = await self._tx.fetchval(
            """
            UPDATE leadership SET lease_until = clock_timestamp() + $3
            WHERE name = $1 AND epoch = $2
            RETURNING clock_timestamp()
            """,
            self._name,
            epoch,
            lease,
        )
        if now is None:
            raise self._deposed(epoch)
        return to_wall_ms(now)

    async def give_up(self, epoch: int) -> None:
        """Let another one lead at once; nothing happens when one does already."""
        await self._tx.execute(
            "UPDATE leadership SET lease_until = clock_timestamp() WHERE name = $1 AND epoch = $2", self._name, epoch
        )

    async def hold(self, epoch: int) -> None:
        """Lead until this transaction ends: nobody else can take the lead before. Raises `Deposed`."""
        held = await self._tx.fetchval(
            """
            SELECT set_config('idle_in_transaction_session_timeout', $3, true) FROM leadership
            WHERE name = $1 AND epoch = $2
            FOR KEY SHARE
            """,
            self._name,
            epoch,
            str(IDLE_MS),
        )
        if held is None:
            raise self._deposed(epoch)

    def _deposed(self, epoch: int) -> Deposed:
        return Deposed(f"{self._name}: the leader of epoch {epoch} has been replaced")
