"""What somebody who looks at a challenge has before them: who leads, who is around them, how the teams stand.

It is what a page of the table is, twice, in one answer, so that it can be told again whenever the table has moved. The two parts
are read one after the other and may be of different revisions; each says its own.
"""

from collections.abc import MutableMapping
from typing import Final, Protocol

import msgspec

from services.challenges.challenges import ChallengeTable, ChallengeView, TableLine, TeamLine
from services.challenges.heat import HeatView
from services.kernel.caller import Caller
from services.kernel.ids import ChallengeId

LEADERS: Final = 10
AROUND: Final = 11


class TablePart(msgspec.Struct, frozen=True):
    """Lines in order as they were after entry `revision` of the score log; the first one stands in position `start`, from 0."""

    revision: int
    start: int
    lines: tuple[TableLine, ...]


class ChallengeStanding(msgspec.Struct, frozen=True):
    """A challenge's table for whoever looks at it. `you` is their number on it and `around` the lines around it, both null for its
    maker who is not in. `head` (hex) is the hash of entry `entries` of the score log, the last one. `final`: it is closed. `heat`:
    who is ready, and when it is ridden, where it is one."""

    challenge_id: ChallengeId
    members: int
    leaders: TablePart
    teams: tuple[TeamLine, ...]
    head: str
    entries: int
    final: bool
    you: int | None = None
    around: TablePart | None = None
    heat: HeatView | None = None


class Tables(Protocol):
    """See services/challenges/challenges.py."""

    async def by_id(self, caller: Caller, challenge_id: ChallengeId) -> ChallengeView: ...
    async def table(
        self, caller: Caller, challenge_id: ChallengeId, *, start: int = 0, limit: int = 0, around_me: bool = False
    ) -> ChallengeTable: ...


async def standing_of(
    tables: Tables, caller: Caller, challenge_id: ChallengeId, leading: MutableMapping[ChallengeId, ChallengeTable]
) -> ChallengeStanding:
    """What the caller has before them. `leading` remembers the first pages for others who are asked about at the same moment.

    Raises `ChallengeNotFound` for whoever is not in it and has not made it.
    """
    view = await tables.by_id(caller, challenge_id)
    first = leading.get(challenge_id)
    if first is None:
        first = leading[challenge_id] = await tables.table(caller, challenge_id, limit=LEADERS)
    around = None
    if view.you is not None:
        around = await tables.table(caller, challenge_id, limit=AROUND, around_me=True)
    newest = first if around is None or around.entries < first.entries else around
    return ChallengeStanding(
        challenge_id=challenge_id,
        members=newest.members,
        leaders=_part(first),
        teams=newest.teams,
        head=newest.head,
        entries=newest.entries,
        final=newest.final,
        you=view.you,
        around=None if around is None else _part(around),
        heat=view.heat,
    )


def _part(table: ChallengeTable) -> TablePart:
    return TablePart(table.revision, table.start, table.lines)
