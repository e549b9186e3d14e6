"""One reading of a sensor, and the rule for how long it may be believed.

A sample says what a strap measured at one instant. Between two samples the older one holds, but only for
`HOLD_MS`: after that the heart rate is unknown, and unknown time earns neither load nor points. The live board
and the finished summary both integrate with `held_ms`, which is why they agree to the last bit whatever the
order of arrival was.
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

Bpm = Annotated[int, msgspec.Meta(ge=MIN_BPM, le=MAX_BPM, description="heart rate in beats per minute")]
RrMs = Annotated[int, msgspec.Meta(ge=1, le=65_535, description="beat-to-beat interval in ms")]
ElapsedMs = Annotated[int, msgspec.Meta(ge=0, le=MAX_T_MS, description="ms since the stream was opened, device clock")]


class Sample(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One reading, on the wire an array `[t, bpm, [rr, …]]`; its sequence number is its place in the batch.

    `t` ms since the stream began, by the device's clock; `bpm` beats per minute, None while the strap has no
    contact; `rr` the beat-to-beat intervals in ms that ended since the sample before, oldest first.
    """

    t: ElapsedMs
    bpm: Bpm | None = None
    rr: Annotated[tuple[RrMs, ...], msgspec.Meta(max_length=64)] = ()


def held_ms(t: int, next_t: int) -> int:
    """How many ms the reading at `t` counts for, when the next one came at `next_t` (both ms).

    Zero when the clock stood still or stepped back, never more than `HOLD_MS`.
    """
    return min(max(next_t - t, 0), HOLD_MS)
