"""The final table of a class, from what each member's streams have earned. Pure.

Ranks are decided as on the live board (`ranking.py`), so that the last board and the table agree.

`ClassSummary` is also the shape of the event `class.summary`: what is stored is what is sent.
"""

from collections.abc import Container, Iterable, Mapping
from typing import Final

import msgspec

from services.classes.live_class import LiveClass, Membership
from services.classes.ranking import ranked, weight
from services.classes.showing import on_board, public_name
from services.kernel.ids import AccountId, ClassId
from services.training.load import MS_PER_MINUTE
from services.training.zones import ZONES

_NOTHING: Final = (0,) * ZONES


class ClassStanding(msgspec.Struct, frozen=True):
    """One athlete's line. `n` member number, `effort` points with one decimal, `zone_ms` ms in zone 0 to 5; `flagged` while fair
    play has a doubt about some of it."""

    n: int
    rank: int
    name: str
    effort: float
    zone_ms: tuple[int, ...]
    flagged: bool = False


class ClassSummary(msgspec.Struct, frozen=True):
    """How a class ended. `duration_ms` from creation to end, `athletes` how many took part."""

    class_id: ClassId
    title: str
    duration_ms: int
    athletes: int
    standings: tuple[ClassStanding, ...]


def final_table(
    live: LiveClass,
    members: Iterable[Membership],
    earned: Mapping[AccountId, tuple[int, ...]],
    flagged: Container[AccountId] = (),
) -> ClassSummary:
    """The table of a class that is over. `earned` is ms in zone 0 to 5 per member; who is missing earned nothing. `flagged` are
    those whose line is marked.

    Coaches and spectators are not ranked, nor is whoever the room does not see; but `athletes` counts them. Raises ValueError while
    the class is live.
    """
    if live.ended_ms is None:
        raise ValueError(f"class {live.id} is still live: end it first")
    athletes = [member for member in members if member.role == "athlete"]
    efforts = (
        (weight(zone_ms := earned.get(member.account_id, _NOTHING)), member.n, (member, zone_ms))
        for member in athletes
        if on_board(member.showing)
    )
    standings = [
        ClassStanding(
            n=member.n,
            rank=rank,
            name=public_name(member.showing, member.n, member.name),
            effort=round(effort / MS_PER_MINUTE, 1),
            zone_ms=zone_ms,
            flagged=member.account_id in flagged,
        )
        for rank, effort, (member, zone_ms) in ranked(efforts)
    ]
    return ClassSummary(
        class_id=live.id,
        title=live.title,
        duration_ms=max(live.ended_ms - live.created_ms, 0),
        athletes=len(athletes),
        standings=tuple(standings),
    )
