"""The heart rate above which somebody wants to be asked whether they are all right: their own figure, or one made from their
maximum. Pure.

It is no medical statement: nobody is ill above it or well below it. It is a heart rate that this person does not expect to see.
Whoever has measured their maximum does not expect to see more than it, but for the few beats by which a test may have fallen short;
a maximum that comes from the age or is assumed is a guess that is often wrong by ten beats, and who is fit would be asked in every
hard interval, so it has more room. A figure of one's own, which may come from a doctor, always goes before.
"""

from typing import Annotated, Final, Literal

import msgspec

from services.training.physiology import Physiology
from services.training.plausibility import TOO_FAST_BPM

ABOVE_MEASURED_BPM: Final = 5
"""By feeling: a maximum measured on one day is seldom the highest ever."""
ABOVE_GUESSED_BPM: Final = 20
"""Two standard errors of a maximum estimated by age, 10 bpm each (Tanaka 2001; Nes 2013: 10.8)."""
LOWEST_LIMIT: Final = 90
"""Lower ones are above a heart at rest for nobody who trains with a limit. By feeling."""
HIGHEST_LIMIT: Final = TOO_FAST_BPM
"""What is faster is a sensor's fault (plausibility.py), so a higher limit would watch over nothing."""

LimitBpm = Annotated[int, msgspec.Meta(ge=LOWEST_LIMIT, le=HIGHEST_LIMIT, description="heart rate in beats per minute")]
LimitSource = Literal["own", "measured_maximum", "guessed_maximum"]


class Limit(msgspec.Struct, frozen=True):
    """The limit that holds, in bpm, and what it was made from."""

    bpm: int
    source: LimitSource


def limit_of(own_bpm: int | None, physiology: Physiology) -> Limit:
    """The limit of somebody who has given `own_bpm` (None: nothing) and has this body."""
    if own_bpm is not None:
        return Limit(own_bpm, "own")
    measured = physiology.max_hr_source == "measured"
    room = ABOVE_MEASURED_BPM if measured else ABOVE_GUESSED_BPM
    bpm = min(physiology.max_hr + room, HIGHEST_LIMIT)
    return Limit(bpm, "measured_maximum" if measured else "guessed_maximum")
