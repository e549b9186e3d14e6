"""What a stream has earned for the class it feeds: whole numbers that only grow, so that two accounts of one stream are merged by
taking the more of each, and several streams are added up."""

from collections.abc import Iterable
from typing import Final

import msgspec

from services.training.motion import Moved
from services.training.zones import ZONES


class Earned(msgspec.Struct, frozen=True):
    """`zone_ms` ms in zone 0 to 5; `burned` nkcal (energy.py); `moved` what the database says that it has moved, None where it has
    not: whose motion counts is another choice (rooms/moving.py), so it is neither merged nor added up here."""

    zone_ms: tuple[int, ...] = (0,) * ZONES
    burned: int = 0
    moved: Moved | None = None


NOTHING_EARNED: Final = Earned()


def most(one: Earned, other: Earned) -> Earned:
    """Of two accounts of one stream the later."""
    return Earned(
        tuple(max(zone) for zone in zip(one.zone_ms, other.zone_ms, strict=True)), max(one.burned, other.burned)
    )


def together(parts: Iterable[Earned]) -> Earned:
    """What several streams have earned."""
    zone_ms, burned = [0] * ZONES, 0
    for part in parts:
        for zone, ms in enumerate(part.zone_ms):
            zone_ms[zone] += ms
        burned += part.burned
    return Earned(tuple(zone_ms), burned)
