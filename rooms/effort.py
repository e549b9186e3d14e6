"""The running score of a live workout: Edwards points, sample by sample.

State is whole milliseconds per zone, so sums are exact in any order and the live score equals the summary computed
from the stored samples to the last bit (a law test holds them together). The same goes for the energy burned, in whole nkcal
(services/training/energy.py). The state is small enough to be stored with every group commit; after a restart the score goes on
from there.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from services.training.earned import Earned
from services.training.sample import Sample, held_ms
from services.training.zones import ZONES, zone_of

NOTHING: Final = (0,) * ZONES

Window = tuple[int, int]
"""From and until when time earns, wall clock, ms since 1970; the end is excluded."""


class Effort(msgspec.Struct, frozen=True):
    """`zone_ms` ms earned in zone 0 to 5; `last_t`, `last_bpm` the sample that still holds; `burned` nkcal."""

    zone_ms: tuple[int, ...] = NOTHING
    last_t: int | None = None
    last_bpm: int | None = None
    burned: int = 0

    @property
    def earned(self) -> Earned:
        """What of it counts."""
        return Earned(self.zone_ms, self.burned)


def advance(
    effort: Effort,
    samples: Iterable[Sample],
    max_hr: int,
    *,
    counts: bool = True,
    burn: Sequence[int] | None = None,
) -> Effort:
    """The effort after `samples`. With `counts` false time passes but nothing is earned (another device feeds). `burn` are the
    nkcal per ms of each heart rate, None where the body is not known well enough."""
    zone_ms = list(effort.zone_ms)
    last_t, last_bpm, burned = effort.last_t, effort.last_bpm, effort.burned
    for sample in samples:
        if counts and last_t is not None and last_bpm is not None:
            held = held_ms(last_t, sample.t)
            zone_ms[zone_of(last_bpm, max_hr)] += held
            if burn is not None:
                burned += burn[last_bpm] * held
        last_t, last_bpm = sample.t, sample.bpm
    return Effort(zone_ms=tuple(zone_ms), last_t=last_t, last_bpm=last_bpm, burned=burned)


def advance_within(
    effort: Effort,
    samples: Sequence[Sample],
    made: Sequence[int | None],
    max_hr: int,
    window: Window,
    burn: Sequence[int] | None = None,
) -> Effort:
    """The effort after `samples`, of whose time only that within `window` earns. `made` is when the sample before them was made
    (None: there was none), and each of them, wall clock; `burn` as for `advance`."""
    zone_ms = list(effort.zone_ms)
    last_t, last_bpm, burned = effort.last_t, effort.last_bpm, effort.burned
    for sample, began_ms in zip(samples, made, strict=False):
        if last_t is not None and last_bpm is not None and began_ms is not None:
            ends_ms = min(began_ms + held_ms(last_t, sample.t), window[1])
            held = max(ends_ms - max(began_ms, window[0]), 0)
            zone_ms[zone_of(last_bpm, max_hr)] += held
            if burn is not None:
                burned += burn[last_bpm] * held
        last_t, last_bpm = sample.t, sample.bpm
    return Effort(zone_ms=tuple(zone_ms), last_t=last_t, last_bpm=last_bpm, burned=burned)
