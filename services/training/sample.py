"""One reading of a sensor, and the rule for how long it may be believed.

A sample says what a strap measured at one instant. Between two samples the older one holds, but only for
`HOLD_MS`: after that the heart rate is unknown, and unknown time earns neither load nor points. The live board
and the finished summary both integrate with `held_ms`, which is why they agree to the last bit whatever the
order of arrival was.

A sample may carry more than the heart: what the machine or the foot has done (`Motion`). Most carry none, so it is
one element that is not there.
"""

from typing import Annotated, Final

import msgspec

HOLD_MS: Final = 5_000
"""How long one reading stands for the heart rate, in ms (reference: irregular samples, hold at most 5 s)."""

MIN_BPM: Final = 20
MAX_BPM: Final = 250
"""What a human heart can show. Outside it a reading is a sensor fault: 0 and 255 mean "no value" in FIT and BLE."""

MAX_T_MS: Final = 7 * 24 * 3_600_000
"""A stream ends after a week: whatever claims to be later is a broken device clock."""

MAX_DISTANCE_M: Final = 0xFF_FFFF
"""The highest that a fitness machine can count (FTMS 1.0, Total Distance, 24 bits), in m; a week at 100 km/h."""
MAX_POWER_W: Final = 4_000
"""By feeling: half as much again as the best sprinters on a track show for a second."""
MAX_CADENCE: Final = 300
"""Turns of the crank or steps in a minute. By feeling: a sprinter takes 280 steps."""

Bpm = Annotated[int, msgspec.Meta(ge=MIN_BPM, le=MAX_BPM, description="heart rate in beats per minute")]
RrMs = Annotated[int, msgspec.Meta(ge=1, le=65_535, description="beat-to-beat interval in ms")]
Metres = Annotated[int, msgspec.Meta(ge=0, le=MAX_DISTANCE_M, description="metres on the device's counter, whole")]
Watts = Annotated[int, msgspec.Meta(ge=0, le=MAX_POWER_W, description="power in W, whole")]
Cadence = Annotated[
    int, msgspec.Meta(ge=0, le=MAX_CADENCE, description="turns of the crank per minute; on foot steps of both feet")
]
ElapsedMs = Annotated[int, msgspec.Meta(ge=0, le=MAX_T_MS, description="ms since the stream was opened, device clock")]


class Motion(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What a machine, a pod or a satellite says beside the heart: `[distance_m, power_w, cadence]`, None for what it does not say.

    `distance_m` is a counter, m since the stream or the machine's own workout began, so that a sample that is lost loses no
    metre (services/training/motion.py has the rule for counters that are set back). `power_w` and `cadence` are of this moment; the
    cadence is turns of the crank on a bike, strokes in a boat, steps of both feet on foot, in a minute.
    """

    distance_m: Metres | None = None
    power_w: Watts | None = None
    cadence: Cadence | None = None


class Sample(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One reading, on the wire an array `[t, bpm, [rr, …], motion]`; its sequence number is its place in the batch.

    `t` ms since the stream began, by the device's clock; `bpm` beats per minute, None while the strap has no
    contact; `rr` the beat-to-beat intervals in ms that ended since the sample before, oldest first; `motion` distance, power
    and cadence, None where nothing measures them.
    """

    t: ElapsedMs
    bpm: Bpm | None = None
    rr: Annotated[tuple[RrMs, ...], msgspec.Meta(max_length=64)] = ()
    motion: Motion | None = None


def held_ms(t: int, next_t: int) -> int:
    """How many ms the reading at `t` counts for, when the next one came at `next_t` (both ms).

    Zero when the clock stood still or stepped back, never more than `HOLD_MS`.
    """
    return min(max(next_t - t, 0), HOLD_MS)
