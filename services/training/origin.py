"""Where the samples of a workout come from: its streams, what fed each of them, and when it was the one that was believed.

Of several sensors that somebody wears in a class all samples are kept and one feeds their line on the board at a time
(`arbitration.py`). The ledger of that is kept with the streams, so for each second it can be said who fed it, for as long as there
is the workout.
"""

from typing import Protocol

import msgspec

from services.kernel.ids import AccountId, ClassId, StreamId, WorkoutId
from services.training.arbitration import Shift, ledger
from services.training.provenance import SensorKind
from services.training.workouts import Workout


class StreamOrigin(msgspec.Struct, frozen=True):
    """One stream of a workout. `sensor` what fed it (None: it has not said), `samples` how many of the workout's are its, after
    those of the streams before it. `clock_offset_ms` is to be added to a sample's time for ms since 1970, None when it has none.

    `fed`: from when to when (ms since 1970) it fed its athlete's line in a class in which they wore several; None where it was the
    only one, and so fed all the time."""

    stream: StreamId
    device: str
    sensor: SensorKind | None
    opened_at_ms: int
    clock_offset_ms: int | None
    samples: int
    fed: tuple[tuple[int, int], ...] | None = None


class OriginStore(Protocol):
    """What this needs of the streams' store (persistence/streams.py)."""

    async def origins(self, workout_id: WorkoutId) -> list[StreamOrigin]: ...
    async def shifts(self, class_id: ClassId, account_id: AccountId) -> list[Shift]: ...


async def origins_of(store: OriginStore, workout: Workout) -> tuple[StreamOrigin, ...]:
    """The streams of a workout, and when they were believed. A workout that is not finished was fed until its last shift."""
    streams = await store.origins(workout.id)
    shifts = [] if workout.class_id is None else await store.shifts(workout.class_id, workout.account_id)
    if not shifts:
        return tuple(streams)
    until_ms = max(workout.finished_at_ms or 0, shifts[-1].at_ms)
    stretches = ledger(shifts, until_ms)
    return tuple(
        msgspec.structs.replace(
            one, fed=tuple((began, ended) for began, ended, source in stretches if source == one.stream)
        )
        for one in streams
    )
