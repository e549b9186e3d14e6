"""The hot table of a challenge: a copy in fast memory that answers "who is around me" among a million.

The truth is the members' lines in the database. The copy says up to which entry of the score log (`seq`) it is right, and is
brought up to date by one rule: *apply all members that changed after `seq`, in the order of their last entries*. So nobody need
hear of every change, hearing of one twice does no harm, a copy that lost everything begins at 0 with the same rule, and two who do
it at once find out from each other (`take` compares before it sets).

A reader believes the copy as far as it may: never about oneself an older score than the truth, never more than `MOST_BEHIND`
entries behind, and once a challenge is closed nothing but the last entry. Otherwise the database answers, more slowly.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from services.challenges.challenge import Challenge, Entrant
from services.challenges.ranking import Line, Ranked, ranks
from services.kernel.ids import ChallengeId

MOST_BEHIND: Final = 256
"""Entries. Chosen: a few seconds of the busiest challenge; nobody looks at a thousandth place that closely."""
BITE: Final = 1_000
"""Members of one step of bringing a copy up to date."""
BITES: Final = 200
"""Steps of one handling. Who is not done by then goes on in the next, so that no transaction is open for long."""


class TableAway(Exception):  # noqa: N818 - a state of the world
    """The copy cannot be asked now."""


class Changed(msgspec.Struct, frozen=True):
    """A member as they stand after entry `seq`, the last one about them. `here` False: they left."""

    line: Line
    here: bool
    seq: int


class Page(msgspec.Struct, frozen=True):
    """Some lines of a table in order, the first one in position `start` (from 0). `seq`: the entry of the log after which the
    table was so."""

    seq: int
    start: int
    rows: tuple[Ranked, ...]


class HotTable(Protocol):
    """The copies (realtime/redis_tables.py). Everything raises `TableAway`."""

    async def seq(self, challenge_id: ChallengeId) -> int:
        """The entry up to which the copy is right; 0 for none."""
        ...

    async def take(self, challenge_id: ChallengeId, after: int, to: int, changed: Sequence[Changed]) -> int:
        """Apply all that changed after entry `after` up to entry `to`, if `after` is where the copy stands; where it stands
        now."""
        ...

    async def forget(self, challenge_id: ChallengeId) -> None:
        """Drop the copy."""
        ...

    async def page(self, challenge_id: ChallengeId, start: int, limit: int) -> Page | None:
        """The page from a position on; None when there is no copy."""
        ...

    async def around(self, challenge_id: ChallengeId, n: int, limit: int) -> Page | None:
        """The page with a member in its middle; None when there is no copy, or the member is not in it."""
        ...


class LineStore(Protocol):
    """What this needs of the challenges' store (persistence/challenges.py)."""

    async def by_id(self, challenge_id: ChallengeId) -> Challenge | None: ...
    async def page(self, challenge_id: ChallengeId, start: int, limit: int) -> list[Line]: ...
    async def better_than(self, challenge_id: ChallengeId, line: Line) -> tuple[int, int]: ...
    async def changed_after(self, challenge_id: ChallengeId, seq: int, limit: int) -> list[Changed]: ...


async def catch_up(store: LineStore, hot: HotTable, challenge_id: ChallengeId) -> bool:
    """Bring the copy up to date; whether it is. Raises `TableAway`."""
    seq = await hot.seq(challenge_id)
    challenge = await store.by_id(challenge_id)
    if challenge is None or seq > challenge.seq:
        # Of a database that went back in time, or a challenge that is gone.
        await hot.forget(challenge_id)
        seq = 0
    for _ in range(BITES):
        changed = await store.changed_after(challenge_id, seq, BITE)
        if not changed:
            # The last entries may be about nobody. What came before them was seen: the challenge was read before its members.
            if challenge is not None and seq < challenge.seq:
                await _taken(hot, challenge_id, seq, challenge.seq, ())
            return True
        seq = await _taken(hot, challenge_id, seq, changed[-1].seq, changed)
    return False


async def _taken(hot: HotTable, challenge_id: ChallengeId, after: int, to: int, changed: Sequence[Changed]) -> int:
    """Where the copy stands now. Raises `TableAway` when it stands further back than before: it does not keep what it is given,
    and would be made anew for ever."""
    stands = await hot.take(challenge_id, after, to, changed)
    if stands < after:
        raise TableAway("the copy was lost while it was made; has Redis too little memory?")
    return stands


async def true_page(store: LineStore, challenge: Challenge, start: int, limit: int) -> Page:
    """A page as the database has it."""
    lines = await store.page(challenge.id, start, limit)
    if not lines:
        return Page(challenge.seq, start, ())
    better, _ = await store.better_than(challenge.id, lines[0])
    return Page(challenge.seq, start, tuple(ranks(lines, start, better + 1)))


async def true_around(store: LineStore, challenge: Challenge, me: Entrant, limit: int) -> Page:
    """The page around a member as the database has it."""
    _, before = await store.better_than(challenge.id, Line(me.n, me.value, me.tie, me.team))
    return await true_page(store, challenge, start_around(before, limit), limit)


def start_around(position: int, limit: int) -> int:
    """Where a page of `limit` lines begins that has a position in its middle."""
    return max(position - (limit - 1) // 2, 0)


def believable(page: Page | None, challenge: Challenge, me: Entrant | None) -> bool:
    """Whether a page of the copy may be shown to `me`, who knows this of the truth."""
    if page is None:
        return False
    if challenge.over:
        return page.seq == challenge.seq
    return page.seq >= challenge.seq - MOST_BEHIND and (me is None or page.seq >= me.seq)
