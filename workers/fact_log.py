"""The log of facts: what has happened, in families, for whoever wants to read it again.

A queue forgets what was handled. A log does not, for a while: a follower reads it from the beginning, from an instant or
from where it stopped, keeps its own position, and may go back. Two implementations, one promise, one contract suite
(tests/contracts/test_fact_log.py): `amqp_log.py` on RabbitMQ's streams, `postgres_log.py` on the outbox itself.

What a log guarantees:

- *All of it.* From a position on, every fact of the family that a relay has handed over, or `PositionLost`. Nothing is
  passed over in silence.
- *In order.* Facts about one aggregate come in the order of their commits, as far as their first arrivals go. A fact may come
  again (a relay that died between publishing and its commit), and then it comes late.
- *For a while.* What is older than the log reaches is gone (`PACELINE_OUTBOX_DAYS`; a week on RabbitMQ).

A log has no end: `FactReader.page` waits for more.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, NewType, Protocol

from services.kernel.facts import Envelope

Position = NewType("Position", str)
"""Where a reader stands: behind a fact. Only the kind of log that gave it out can read it."""


class PositionLost(Exception):  # noqa: N818 - a state of the world
    """What followed this position is not in the log any more, or it is a position of another log. Begin anew. The message says
    what is there."""


@dataclass(frozen=True)
class Family:
    """Facts that are read together. They are those whose types begin with one of `nouns`: a fact of a newer program belongs to
    its family before this one knows it."""

    name: str
    nouns: tuple[str, ...]


TRAINING: Final = Family("training", ("workout",))
CLASSES: Final = Family("classes", ("class",))

FAMILIES: Final = (TRAINING, CLASSES)
"""Every family there is. What is in none can be read in the outbox, and by nobody again."""


@dataclass(frozen=True)
class Page:
    """The next facts, perhaps none, and where reading goes on after them (None while nothing was ever read)."""

    envelopes: tuple[Envelope, ...]
    position: Position | None


class FactReader(Protocol):
    """One reading of one family."""

    async def page(self, wait_s: float, *until: asyncio.Event) -> Page:
        """The next facts as soon as there are any; an empty page after `wait_s` or when one of the events is set. To ask for the
        next page says that this one is done with.

        Raises `PositionLost`, `BusUnavailable` when the log's server is away (read on from the last position later), and
        `msgspec.DecodeError` for a fact of a newer program, which must not be passed over.
        """
        ...


class FactLog(Protocol):
    """See the module's docstring for what it guarantees."""

    def reading(
        self, family: Family, after: Position | None = None, *, since_ms: int | None = None
    ) -> AbstractAsyncContextManager[FactReader]:
        """Read a family: from behind a position, or else from the first fact that became true at `since_ms` (ms since 1970; earlier
        ones may come too), or else from the beginning. Raises `PositionLost` and `BusUnavailable`."""
        ...
